"""Rules of the project that no other tool checks."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return match.group().lower().replace("_", "-").replace(".", "-")


def _closure(roots: list[str]) -> set[str]:
    """Names of the roots and of everything that they need here, transitively."""
    found: set[str] = set()
    todo = [_name(root) for root in roots]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # not needed on this platform
        found.add(name)
        todo += [_name(requirement) for requirement in requirements if "extra ==" not in requirement]
    return found


def test_every_direct_and_transitive_version_is_pinned() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    roots = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"], *chain(*extras)]
    pinned = {_name(pin): pin for pin in PROJECT["tool"]["uv"]["constraint-dependencies"]}
    assert all("==" in pin for pin in pinned.values())
    assert _closure(roots) - set(pinned) == set()


def test_what_runs_is_what_is_pinned() -> None:
    for pin in PROJECT["tool"]["uv"]["constraint-dependencies"]:
        name, _, version = pin.partition("==")
        try:
            assert distribution(name).version == version, name
        except PackageNotFoundError:
            continue  # not needed on this platform


def test_every_runtime_dependency_is_justified() -> None:
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    table = architecture.partition("## Dependencies")[2]
    for requirement in PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]:
        assert _name(requirement) in table, requirement


def _sources() -> dict[Path, str]:
    return {path.relative_to(ROOT): path.read_text() for path in sorted((ROOT / "ha").rglob("*.py"))}


def test_no_file_is_over_500_lines() -> None:
    """Vendored code is not ours to shorten."""
    assert [f"{path}: {len(text.splitlines())}" for path, text in _sources().items() if text.count("\n") > 500] == []


def test_no_function_is_over_70_lines() -> None:
    long = [
        f"{path}: {node.name}, {lines}"
        for path, text in _sources().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > 70
    ]
    assert long == []
