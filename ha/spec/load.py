"""Reads the files that users write: ``load`` one file, ``scenario`` what is to be run.

A file is read to a tree (`source`), converted field by field (`convert`), and then held against the rules
(`rules`). What it refers to is read as well, so that a Scenario with a bad topology, or an Experiment whose
target some topology of its own list does not have, is refused before anything starts. Whatever is wrong is
raised as one `SpecError` with all its problems; nothing else is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from collections.abc import Mapping as Table
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from ha.spec import rules
from ha.spec.benchmarks import MEASURES, Benchmark
from ha.spec.catalogue import catalogue, resolve
from ha.spec.convert import Converter
from ha.spec.model import (
    Engine,
    Experiment,
    LoadBalancerEngine,
    Scenario,
    ScenarioFile,
    TimingsName,
    Topology,
    WorldName,
)
from ha.spec.override import with_engines
from ha.spec.problems import ROOT, Problem, SpecError, nearest
from ha.spec.rules import Report, advice
from ha.spec.source import Entry, Mapping, Node, Scalar, Sequence, encloses, join, read

__all__ = [
    "API_VERSION",
    "Problem",
    "Spec",
    "SpecError",
    "advice",
    "benchmark",
    "catalogue",
    "check_world",
    "inputs",
    "kind_of",
    "load",
    "resolve",
    "scenario",
    "topology",
]

Spec: TypeAlias = Topology | Experiment | Scenario | Benchmark

API_VERSION = "ha/v1"
_HEADER = ("apiVersion", "kind")
_ITS_OWN = "(the topology of the scenario)"
"""Stands for the topologies of an experiment that is written out in a Scenario without naming any."""


def load(path: Path | str) -> Spec:
    """The checked content of one file, and of what it refers to. Raises SpecError."""
    return _load(Path(path), ())


def benchmark(path: Path | str) -> Benchmark:
    """What to measure. `path` may be one, or a name of the catalogue. Raises SpecError."""
    spec = load(resolve(path))
    if not isinstance(spec, Benchmark):
        raise SpecError([_problem(str(path), f"is {_kind(spec)}", "a Benchmark")])
    return spec


def topology(
    path: Path | str,
    *,
    engine: Engine | None = None,
    load_balancer: LoadBalancerEngine | None = None,
    world: WorldName = "real",
) -> Topology:
    """A topology, or that of a Scenario, with other engines if they are given, fit for a world. `path` may be a name of
    the catalogue. Raises SpecError.
    """
    home, prefix = resolve(path), ROOT
    spec = load(home)
    if isinstance(spec, Scenario):
        first, home = home, _references(home)[0]
        prefix = "topology" if home == first else ROOT
        spec = spec.topology
    if not isinstance(spec, Topology):
        raise SpecError([_problem(str(path), f"is {_kind(spec)}", "a Topology or a Scenario")])
    shape = with_engines(spec, engine, load_balancer)
    lines = _lines_of(home, prefix, Topology)
    _suits(shape, world, _within(lines, prefix))
    if lines.problems:
        raise SpecError(lines.problems)
    return shape


def kind_of(spec: Spec) -> str:
    """The kind that a file of this content gives."""
    return next(kind for kind, (cls, _) in _KINDS.items() if isinstance(spec, cls))


def scenario(path: Path | str, chaos: Path | str | None = None) -> Scenario:
    """What to run: a topology, an experiment or a whole Scenario; `chaos` is an experiment to run instead of its own.

    Both may be paths or names of the catalogue. A topology alone gets the default experiment: kill the node
    of the etcd leader under load, or, where losing one member loses the quorum, kill and restart everything;
    by clients of the API, or, where there is none, of the store. An experiment alone gets the first topology
    that it names.
    """
    return _choose(path, chaos).scenario


def inputs(path: Path | str, chaos: Path | str | None = None) -> list[Path]:
    """Every file that decides what `scenario` returns, for keeping: those given and those that they refer to."""
    return _choose(path, chaos).files


def _suits(shape: Topology, world: WorldName, report: Report) -> None:
    """Look at a valid topology once more, whose engine or world may be another one than its file says."""
    rules.topology(shape, report)
    if world == "sim":
        rules.simulated(shape, report)


def check_world(
    spec: Scenario,
    faults: Table[WorldName, Collection[str]],
    mutants: Collection[str],
    *,
    path: Path | str,
    chaos: Path | str | None = None,
) -> None:
    """Raises SpecError when the scenario asks for what its world cannot do. `faults` by the world that can inject
    them, `mutants` that can be planted; `path` and `chaos` as given to `scenario`, for the places of the problems.
    """
    choice = _choose(path, chaos)
    shape = _lines_of(choice.shape_home, choice.shape_prefix, Topology)
    lines = _lines_of(choice.home, choice.prefix)
    report = _within(lines, choice.prefix)
    _suits(spec.topology, spec.world, _within(shape, choice.shape_prefix))
    rules.combination(spec.topology, spec.experiment, report)
    for i, fault in enumerate(spec.experiment.faults):
        if fault.fault not in faults[spec.world]:
            able = [world for world, can in faults.items() if fault.fault in can]
            allowed = ", ".join(sorted(faults[spec.world])) + "".join(f"; or world: {world}" for world in able)
            report(f"faults[{i}].fault", f"the {spec.world} world cannot inject {fault.fault!r}", allowed=allowed)
    problems = [*shape.problems, *lines.problems]
    if spec.mutant is not None:
        top = _lines_of(choice.files[0], "experiment")
        rules.scenario(spec.world, spec.mutant, top.problem)
        if spec.mutant not in mutants:
            known = ", ".join(sorted(mutants))
            top.problem("mutant", f"unknown mutant {spec.mutant!r}", allowed=known, near=nearest(spec.mutant, mutants))
        problems += top.problems
    if problems:
        raise SpecError(problems)


class _Choice(NamedTuple):
    """A scenario and where it comes from."""

    scenario: Scenario
    files: list[Path]
    home: Path
    """The file in which the experiment stands."""
    prefix: str
    """The field of that file in which it stands; ROOT for the whole."""
    shape_home: Path
    """The same for the topology."""
    shape_prefix: str


def _choose(path: Path | str, chaos: Path | str | None) -> _Choice:
    what, given = _both(path, chaos)
    first = resolve(path)
    shape_file = how_file = first
    if isinstance(what, Topology):
        how_file = resolve(_default_experiment(what))
    elif isinstance(what, Experiment):
        shape_file = resolve(what.topologies[0], beside=first)
    else:
        shape_file, how_file = _references(first)
    if chaos is not None:
        how_file = resolve(chaos)
    files = list(dict.fromkeys([first, shape_file, how_file]))
    prefix = "experiment" if isinstance(what, Scenario) and how_file == first else ROOT
    shape_prefix = "topology" if isinstance(what, Scenario) and shape_file == first else ROOT
    if isinstance(what, Scenario) and given is None:
        return _Choice(what, files, how_file, prefix, shape_file, shape_prefix)
    shape = what.topology if isinstance(what, Scenario) else load(shape_file)
    how = given or load(how_file)
    assert isinstance(shape, Topology)
    assert isinstance(how, Experiment)
    whole = Scenario(name=_name(shape, how), topology=shape, experiment=how)
    if isinstance(what, Scenario):
        whole = msgspec.structs.replace(whole, world=what.world, seed=what.seed, mutant=what.mutant)
    choice = _Choice(whole, files, how_file, prefix, shape_file, shape_prefix)
    lines = _lines_of(how_file, prefix)
    rules.combination(shape, how, lines.problem)
    if lines.problems:
        raise SpecError(lines.problems)
    return choice


def _both(path: Path | str, chaos: Path | str | None) -> tuple[Topology | Experiment | Scenario, Experiment | None]:
    """The two files that were named, with the problems of both."""
    problems: list[Problem] = []
    what = _attempt(path, problems)
    how = _attempt(chaos, problems) if chaos is not None else None
    if isinstance(what, Experiment) and chaos is not None:
        allowed = f"a Topology ({', '.join(what.topologies)}) or a Scenario to run {str(chaos)!r} on"
        problems.append(_problem(str(path), "is an Experiment", allowed))
    if isinstance(what, Benchmark):
        problems.append(_problem(str(path), "is a Benchmark", "a Topology, an Experiment or a Scenario; or ha bench"))
    if how is not None and not isinstance(how, Experiment):
        problems.append(_problem(str(chaos), f"is {_kind(how)}", "an Experiment"))
    if problems or what is None or isinstance(what, Benchmark):
        raise SpecError(problems)
    return what, how if isinstance(how, Experiment) else None


def _references(file: Path) -> tuple[Path, Path]:
    """Where the topology and the experiment of a valid Scenario file stand."""
    root = read(file)
    assert isinstance(root, Mapping)
    parts = [root.entries[name].value for name in ("topology", "experiment")]
    shape, how = (resolve(part.text, beside=file) if isinstance(part, Scalar) else file for part in parts)
    return shape, how


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


def _lines_of(file: Path, prefix: str, kind: type[Topology | Experiment] = Experiment) -> Converter:
    """A collector for problems of a valid file: of this kind, or of a Scenario with one in its field `prefix`."""
    converter = Converter(str(file))
    if prefix == ROOT:
        converter.struct(read(file), kind, header=_HEADER)
    else:
        converter.struct(_with_topologies(read(file)), ScenarioFile, header=_HEADER)
    return converter


def _within(converter: Converter, prefix: str) -> Report:
    """Reports problems of what stands in a field of a file; but none of fields of which one was told before, for it
    may only follow from that one.
    """
    told = [problem.field for problem in converter.problems if problem.file == converter.file]

    def report(field: str, message: str, *, allowed: str = "", near: str = "") -> None:
        at = join(prefix, field)
        if not any(encloses(at, one) or encloses(one, at) for one in told):
            converter.problem(at, message, allowed=allowed, near=near)

    return report


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
        _, reader = _KINDS[kind]
        spec = reader(root, converter, path, (*chain, path.resolve()))
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


def _topology(root: Node, converter: Converter, path: Path, _chain: tuple[Path, ...]) -> Topology | None:
    shape = converter.struct(root, Topology, header=_HEADER)
    if shape is None:
        return None
    rules.topology(shape, converter.problem)
    return _derived(shape, root, path)


def _derived(shape: Topology, root: Node, path: Path) -> Topology:
    """With what follows from how, and in which file, it is written."""
    etcd, balancer = shape.etcd, shape.load_balancer
    if etcd.binary is not None:
        etcd = msgspec.structs.replace(etcd, binary=str(path.parent.absolute() / etcd.binary))
    if balancer.binary is not None:
        balancer = msgspec.structs.replace(balancer, binary=str(path.parent.absolute() / balancer.binary))
    return msgspec.structs.replace(shape, etcd=etcd, load_balancer=balancer, timings_name=_timings_name(root))


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
    report = _within(converter, ROOT)
    for i, name in enumerate(experiment.topologies):
        shape = _reference(name, Topology, f"topologies[{i}]", converter, path, chain)
        if isinstance(shape, Topology):
            rules.combination(shape, experiment, report)
    return experiment


def _scenario(root: Node, converter: Converter, path: Path, chain: tuple[Path, ...]) -> Scenario | None:
    file = converter.struct(_with_topologies(root), ScenarioFile, header=_HEADER)
    if file is None:
        return None
    assert isinstance(root, Mapping)
    shape: Spec | None
    is_sound = True
    if isinstance(file.topology, Topology):
        rules.topology(file.topology, _within(converter, "topology"))
        is_sound = not converter.problems
        shape = _derived(file.topology, root.entries["topology"].value, path)
    else:
        shape = _reference(file.topology, Topology, "topology", converter, path, chain)
    how: Spec | None
    if isinstance(file.experiment, Experiment):
        present = {field.removeprefix("experiment.") for field in converter.lines if field.startswith("experiment.")}
        rules.experiment(file.experiment, present, _within(converter, "experiment"))
        how = file.experiment
    else:
        how = _reference(file.experiment, Experiment, "experiment", converter, path, chain)
    rules.scenario(file.world, file.mutant, converter.problem)
    if isinstance(shape, Topology) and file.world == "sim":
        rules.simulated(shape, converter.problem, "topology")
    if not (isinstance(shape, Topology) and isinstance(how, Experiment)):
        return None
    if how.topologies == [_ITS_OWN]:
        how = msgspec.structs.replace(how, topologies=[shape.name])
    if is_sound:
        _fit(shape, how, file, converter, path)
    return Scenario(
        name=file.name, topology=shape, experiment=how, world=file.world, seed=file.seed, mutant=file.mutant
    )


def _fit(shape: Topology, how: Experiment, file: ScenarioFile, converter: Converter, path: Path) -> None:
    """Hold the two against each other; problems stand where the experiment does."""
    if isinstance(file.experiment, Experiment):
        rules.combination(shape, how, _within(converter, "experiment"))
        return
    target = resolve(file.experiment, beside=path)
    lines = _lines_of(target, ROOT)
    rules.combination(shape, how, lines.problem)
    if lines.problems:
        message = f"{file.experiment!r} does not fit {shape.name!r}"
        converter.problem("experiment", message, allowed=", ".join(how.topologies) + " as its topology")
        converter.problems.extend(lines.problems)


def _with_topologies(root: Node) -> Node:
    """An experiment that is written out in a Scenario need not say on what it holds: that is its topology."""
    assert isinstance(root, Mapping)
    entry = root.entries.get("experiment")
    if entry is None or not isinstance(entry.value, Mapping) or "topologies" in entry.value.entries:
        return root
    line = entry.line
    named = Entry(Sequence([Scalar(_ITS_OWN, _ITS_OWN, line)], line), line)
    experiment = Mapping({**entry.value.entries, "topologies": named}, entry.value.line)
    return Mapping({**root.entries, "experiment": Entry(experiment, line)}, root.line)


def _benchmark(root: Node, converter: Converter, path: Path, chain: tuple[Path, ...]) -> Benchmark | None:
    cls, header = _measure(root)
    spec = converter.struct(root, cls, header=header)
    if spec is None:
        return None
    topologies = {}
    for field, name in spec.references().items():
        shape = _reference(name, Topology, field, converter, path, chain)
        if isinstance(shape, Topology):
            topologies[name] = shape
    if converter.problems:
        return None
    spec = msgspec.structs.replace(spec, topologies=topologies)
    spec.check(converter.lines, converter.problem)
    return spec


def _measure(root: Node) -> tuple[type[Benchmark], Collection[str]]:
    """What the fields of a Benchmark are, by its measure, or the one that was probably meant. When it cannot be told,
    the fields of all, none of which is unknown then.
    """
    assert isinstance(root, Mapping)
    entry = root.entries.get("measure")
    value = entry.value.value if entry is not None and isinstance(entry.value, Scalar) else None
    for name, cls in MEASURES.items():
        if isinstance(value, str) and name in (value, nearest(value, MEASURES)):
            return cls, _HEADER
    return Benchmark, [*_HEADER, *root.entries]


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


def _kind(spec: Spec) -> str:
    name = kind_of(spec)
    return f"an {name}" if name == "Experiment" else f"a {name}"


def _problem(file: str, message: str, allowed: str) -> Problem:
    return Problem(file=file, field=ROOT, message=message, allowed=allowed)


_Reader: TypeAlias = Callable[[Node, Converter, Path, tuple[Path, ...]], Spec | None]
_KINDS: dict[str, tuple[type[Spec], _Reader]] = {
    "Topology": (Topology, _topology),
    "Experiment": (Experiment, _experiment),
    "Scenario": (Scenario, _scenario),
    "Benchmark": (Benchmark, _benchmark),
}
