"""Reads the files that users write: ``load`` one file, ``scenario`` what is to be run.

A file is read to a tree (`source`), converted field by field (`convert`), and then held against the rules
(`rules`). What it refers to is read as well, so that a Scenario with a bad topology, or an Experiment whose
target some topology of its own list does not have, is refused before anything starts. Whatever is wrong is
raised as one `SpecError` with all its problems; nothing else is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeAlias

import msgspec

from ha.spec import rules
from ha.spec.catalogue import catalogue, resolve
from ha.spec.convert import Converter
from ha.spec.model import Experiment, Scenario, ScenarioFile, Spec, TimingsName, Topology
from ha.spec.problems import ROOT, Problem, SpecError, nearest
from ha.spec.rules import advice
from ha.spec.source import Mapping, Node, Scalar, read

__all__ = [
    "API_VERSION",
    "Problem",
    "SpecError",
    "advice",
    "catalogue",
    "check_world",
    "inputs",
    "load",
    "resolve",
    "scenario",
]

API_VERSION = "ha/v1"
_HEADER = ("apiVersion", "kind")


def load(path: Path | str) -> Spec:
    """The checked content of one file, and of what it refers to. Raises SpecError."""
    return _load(Path(path), ())


def scenario(path: Path | str, chaos: Path | str | None = None) -> Scenario:
    """What to run: a topology, or a whole Scenario; `chaos` is an experiment to run on it instead of its own.

    Both may be paths or names of the catalogue. A topology alone gets the default experiment: kill the node
    of the etcd leader under load, or, where losing one member loses the quorum, kill and restart everything;
    by clients of the API, or, where there is none, of the store.
    """
    problems: list[Problem] = []
    what = _attempt(path, problems)
    how = _attempt(chaos, problems) if chaos is not None else None
    if isinstance(what, Experiment):
        message = "is an Experiment; it needs a topology to run on"
        named = ", ".join(what.topologies)
        problems.append(
            _problem(str(path), message, f"a Topology ({named}) here, and the experiment as the chaos file")
        )
    if how is not None and not isinstance(how, Experiment):
        problems.append(_problem(str(chaos), f"is {_kind(how)}", "an Experiment"))
    if problems:
        raise SpecError(problems)
    assert isinstance(what, Topology | Scenario)
    assert how is None or isinstance(how, Experiment)
    if isinstance(what, Scenario) and how is None:
        return what
    shape = what if isinstance(what, Topology) else what.topology
    file = _default_experiment(shape) if chaos is None else str(chaos)
    if how is None:
        loaded = load(resolve(file))
        assert isinstance(loaded, Experiment)
        how = loaded
    lines = _lines_of(file)
    rules.combination(shape, how, lines.problem)
    if lines.problems:
        raise SpecError(lines.problems)
    return Scenario(name=_name(shape, how), topology=shape, experiment=how)


def inputs(path: Path | str, chaos: Path | str | None = None) -> list[Path]:
    """Every file that decides what `scenario` returns, for keeping: those given and those that they refer to."""
    first = resolve(path)
    spec = load(first)
    refers: list[Path] = []
    if isinstance(spec, Scenario):
        named = Converter(str(first)).struct(read(first), ScenarioFile, header=_HEADER)
        assert named is not None, "it is valid"
        refers = [resolve(named.topology, beside=first), resolve(named.experiment, beside=first)]
    elif isinstance(spec, Topology) and chaos is None:
        refers = [resolve(_default_experiment(spec))]
    if chaos is not None:
        refers = [*refers[:1], resolve(chaos)]
    return [first, *refers]


def check_world(scenario: Scenario, faults: Collection[str]) -> None:
    """Raises SpecError when the experiment asks for a fault that the world cannot inject."""
    problems = [
        Problem(
            file=f"experiment {scenario.experiment.name}",
            field=f"faults[{i}].fault",
            message=f"this world cannot inject {fault.fault!r}",
            allowed=", ".join(sorted(faults)),
        )
        for i, fault in enumerate(scenario.experiment.faults)
        if fault.fault not in faults
    ]
    if problems:
        raise SpecError(problems)


def _attempt(path: Path | str, problems: list[Problem]) -> Spec | None:
    try:
        return load(resolve(path))
    except SpecError as error:
        problems.extend(error.problems)
        return None


def _default_experiment(shape: Topology) -> str:
    survives = shape.count(shape.etcd_role) >= 3
    if shape.store_alone:
        return "store-kill-leader" if survives else "store-cold-restart"
    return "kill-etcd-leader" if survives else "cold-restart"


def _lines_of(file: str) -> Converter:
    """A collector for problems of an experiment that is itself valid."""
    path = resolve(file)
    converter = Converter(str(path))
    converter.struct(read(path), Experiment, header=_HEADER)
    return converter


def _name(shape: Topology, experiment: Experiment) -> str:
    return f"{experiment.name}-on-{shape.name}"[:63].rstrip("-")


# ---- one file


def _load(path: Path, chain: tuple[Path, ...]) -> Spec:
    """`chain`: the files that led here, to notice a circle."""
    root = read(path)
    converter = Converter(str(path))
    converter.lines[ROOT] = root.line
    kind = _header(root, converter)
    spec: Spec | None = None
    if kind is not None:
        spec = _KINDS[kind](root, converter, path, (*chain, path.resolve()))
    if spec is None or converter.problems:
        raise SpecError(converter.problems)
    return spec


def _header(root: Node, converter: Converter) -> str | None:
    """The kind of the document, or the one that was probably meant; None when it cannot be told."""
    if not isinstance(root, Mapping):
        converter.problem(ROOT, f"found {root}", allowed="a mapping with apiVersion and kind")
        return None
    allowed = {"apiVersion": [API_VERSION], "kind": list(_KINDS)}
    found: dict[str, str | None] = dict.fromkeys(allowed)
    for name, values in allowed.items():
        entry = root.entries.get(name)
        if entry is None:
            converter.problem(name, "is missing", allowed=" or ".join(values))
            continue
        converter.lines[name] = entry.line
        value = entry.value.value if isinstance(entry.value, Scalar) else None
        if isinstance(value, str) and value in values:
            found[name] = value
        else:
            near = nearest(value, values) if isinstance(value, str) else ""
            converter.problem(name, f"found {entry.value}", allowed=" or ".join(values), near=near)
            found[name] = near or None
    return found["kind"]


def _topology(root: Node, converter: Converter, _path: Path, _chain: tuple[Path, ...]) -> Topology | None:
    shape = converter.struct(root, Topology, header=_HEADER)
    if shape is None:
        return None
    rules.topology(shape, converter.problem)
    return msgspec.structs.replace(shape, timings_name=_timings_name(root))


def _timings_name(root: Node) -> TimingsName:
    """``explicit`` when any single figure is set."""
    assert isinstance(root, Mapping)
    entry = root.entries.get("timings")
    if entry is None:
        return "upstream"
    node = entry.value
    if isinstance(node, Mapping) and set(node.entries) - {"preset"}:
        return "explicit"
    preset = node.entries["preset"].value if isinstance(node, Mapping) and node.entries else node
    return "fast" if isinstance(preset, Scalar) and preset.value == "fast" else "upstream"


def _experiment(root: Node, converter: Converter, path: Path, chain: tuple[Path, ...]) -> Experiment | None:
    experiment = converter.struct(root, Experiment, header=_HEADER)
    if experiment is None:
        return None
    rules.experiment(experiment, converter.lines, converter.problem)
    sound = not converter.problems
    for i, name in enumerate(experiment.topologies):
        shape = _reference(name, Topology, f"topologies[{i}]", converter, path, chain)
        if isinstance(shape, Topology) and sound:
            rules.combination(shape, experiment, converter.problem)
    return experiment


def _scenario(root: Node, converter: Converter, path: Path, chain: tuple[Path, ...]) -> Scenario | None:
    file = converter.struct(root, ScenarioFile, header=_HEADER)
    if file is None:
        return None
    shape = _reference(file.topology, Topology, "topology", converter, path, chain)
    experiment = _reference(file.experiment, Experiment, "experiment", converter, path, chain)
    if not (isinstance(shape, Topology) and isinstance(experiment, Experiment)):
        return None
    lines = _lines_of(str(resolve(file.experiment, beside=path)))
    rules.combination(shape, experiment, lines.problem)
    if lines.problems:
        message = f"{file.experiment!r} does not fit {shape.name!r}"
        converter.problem("experiment", message, allowed=", ".join(experiment.topologies) + " as its topology")
        converter.problems.extend(lines.problems)
    return Scenario(name=file.name, topology=shape, experiment=experiment)


def _reference(
    name: str, kind: type[Spec], field: str, converter: Converter, path: Path, chain: tuple[Path, ...]
) -> Spec | None:
    """What a field of the file at `path` refers to; None when it is not to be had, with the problem recorded."""
    try:
        target = resolve(name, beside=path)
    except SpecError as error:
        problem = error.problems[0]
        converter.problem(field, f"{name!r}: {problem.message}", allowed=problem.allowed, near=problem.nearest)
        return None
    if target.resolve() in chain:
        circle = " → ".join(file.name for file in (*chain, target.resolve()))
        converter.problem(field, f"refers to itself: {circle}", allowed=f"a file of kind {kind.__name__}")
        return None
    try:
        spec = _load(target, chain)
    except SpecError as error:
        converter.problem(field, f"{name!r} is not valid", allowed=f"a valid file of kind {kind.__name__}")
        converter.problems.extend(error.problems)
        return None
    if not isinstance(spec, kind):
        converter.problem(field, f"{name!r} is {_kind(spec)}", allowed=f"a file of kind {kind.__name__}")
        return None
    return spec


def _kind(spec: Spec | None) -> str:
    name = type(spec).__name__
    return f"an {name}" if name == "Experiment" else f"a {name}"


def _problem(file: str, message: str, allowed: str) -> Problem:
    return Problem(file=file, field=ROOT, message=message, allowed=allowed)


_Reader: TypeAlias = Callable[[Node, Converter, Path, tuple[Path, ...]], Spec | None]
_KINDS: dict[str, _Reader] = {"Topology": _topology, "Experiment": _experiment, "Scenario": _scenario}
