"""The files that come with ``ha``: found by name, in a checkout at its root, installed inside the wheel."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from ha.spec.problems import ROOT, Problem, SpecError, nearest

__all__ = ["catalogue", "resolve"]

_FOLDERS = ("topologies", "chaos", "benchmarks")


def catalogue() -> dict[str, Path]:
    """Every file of the catalogue by its name (``stacked-3``), topologies first."""
    package = Path(str(importlib.resources.files("ha")))
    roots = [package / "catalogue", package.parent]
    root = next((root for root in roots if (root / _FOLDERS[0]).is_dir()), package.parent)
    return {file.stem: file for folder in _FOLDERS for file in sorted((root / folder).glob("*.yaml"))}


def resolve(path_or_name: Path | str, *, beside: Path | None = None) -> Path:
    """The file that a path or a name of the catalogue means. `beside`: the file that a path is relative to.

    An existing file wins over a name of the catalogue, the catalogue over a directory. Raises SpecError when
    there is nothing of the kind.
    """
    text = str(path_or_name)
    path = Path(text) if beside is None else beside.parent / text
    directory = _is_directory(path)
    if directory is False:
        return path
    known = catalogue()
    if text in known:
        return _short(known[text])
    if directory:
        return path
    near = nearest(Path(text).name.removesuffix(".yaml"), known)
    allowed = "a file, or a name of the catalogue" + ("" if near else f": {', '.join(known)}")
    raise SpecError([Problem(file=text, field=ROOT, message="no such file", allowed=allowed, nearest=near)])


def _is_directory(path: Path) -> bool | None:
    """None when there is nothing, also because no such name could be (too long, a loop of links)."""
    try:
        return path.is_dir() if path.exists() else None
    except OSError:
        return None


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
