"""``ha chaos``: one fault, by hand, on a cluster that is up."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from functools import partial
from typing import get_args

import msgspec
import trio

from ha.chaos.faults import registry
from ha.cli import exits
from ha.cli.errors import CommandError
from ha.cli.kept import Condition, DamagedError, all_kept
from ha.experiment.keep import ClusterState
from ha.history import FaultEvent
from ha.report.words import evidence_summary, fault_note
from ha.spec import Experiment, Fault, FaultName, Topology, Workload, rules
from ha.spec.durations import EXAMPLES, parse_duration
from ha.spec.faults import FIELDS, INSTANT
from ha.spec.model import Component, Direction
from ha.spec.problems import Problem, SpecError
from ha.world import Address

__all__ = ["register"]

_PERIODS = ("for", "latency", "jitter", "offset")
_FIGURES = ("bytes_per_s", "rate")
_NEGATIVE = re.compile(r"-\.?\d")
_LONG_S = 1e9
_PATH = "faults[0]."


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "chaos",
        help="inject a fault into a cluster that is up, by hand",
        description="Inject a fault, say what shows that it took effect, and undo it after --for, or at Ctrl-C. "
        "Exit code: 0 it took effect and was undone, 3 nothing shows that it did.",
        epilog="What each fault does: docs/faults.md. Targets are those of experiments: a node, a role, etcd-leader, …",
    )
    faults = get_args(FaultName)
    parser.add_argument("fault", nargs="?", choices=faults, metavar="FAULT", help="what is done; see --list")
    parser.add_argument("target", nargs="?", metavar="TARGET", help="whom it hits")
    parser.add_argument("--list", action="store_true", help="show all faults")
    parser.add_argument("--name", help="the cluster (default: the only one)")
    parser.add_argument("--component", choices=get_args(Component), help="only this process of each node")
    parser.add_argument("--take", choices=("one", "minority", "majority", "all"), help="of those that match")
    parser.add_argument("--direction", choices=get_args(Direction), help="of a partition")
    parser.add_argument("--from", dest="source", metavar="TARGET", help="links: the nodes at the other end")
    parser.add_argument("--for", metavar="TIME", help="how long (default: until Ctrl-C)")
    for name in (*_PERIODS[1:], *_FIGURES):
        takers = ", ".join(fault for fault, fields in FIELDS.items() if name in fields.required + fields.optional)
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar=name.upper(), help=f"of {takers}")
    parser._negative_number_matcher = _NEGATIVE  # noqa: SLF001  (argparse takes -30s for an option: it is no number)
    parser.set_defaults(command=_chaos)


def _chaos(arguments: argparse.Namespace) -> int:
    if arguments.list:
        _list()
        return exits.OK
    if arguments.fault is None or arguments.target is None:
        raise CommandError("say which fault hits whom, as 'ha chaos kill etcd-leader', or --list", exits.BAD_INPUT)
    state = _state(arguments.name)
    fault = _fault(arguments, state.shape)
    if (lost := rules.wiped_majority(state.shape, fault)) is not None:
        print(f"ha: note: this {lost}; what is left then is 'ha down'", file=sys.stderr)
    return trio.run(partial(_inject, Address.parse(state.chaos), fault))


def _list() -> None:
    width = max(map(len, FIELDS))
    for name, fault in registry().items():
        print(f"{name:{width}}  {fault.summary}")


def _state(name: str | None) -> ClusterState:
    """Raises CommandError when no single cluster is meant."""
    up = {cluster.name: cluster for cluster in all_kept() if cluster.condition() is Condition.UP}
    if name is None and len(up) == 1:
        name = next(iter(up))
    if name is None or name not in up:
        what = f"no cluster {name!r} is up" if name is not None else "which cluster? say --name"
        raise CommandError(f"{what}; up: {', '.join(up) or 'none'}", exits.BAD_INPUT)
    try:
        state = up[name].state()
    except DamagedError as error:
        raise CommandError(str(error), exits.BAD_INPUT) from error
    if state is None:
        raise CommandError(f"cluster {name} is going down", exits.BAD_INPUT)
    return state


def _fault(arguments: argparse.Namespace, shape: Topology) -> Fault:
    """What the arguments say, held against the rules of experiments. Raises SpecError."""
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    target = {"select": given["target"]} | {name: given[name] for name in ("take", "component") if name in given}
    fields: dict[str, object] = {"fault": given["fault"], "at": 0.0, "target": target}
    if "source" in given:
        fields["from"] = {"select": given["source"]}
    for name in ("direction", *_PERIODS, *_FIGURES):
        if name in given:
            fields[name] = _value(name, given[name])
    try:
        fault = msgspec.convert(fields, Fault)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise SpecError([_problem(path.rstrip("`") or "fault", message)]) from error
    problems: list[Problem] = []

    def report(field: str, message: str, *, allowed: str = "", near: str = "") -> None:
        if field.startswith(_PATH) and field != f"{_PATH}at":
            problems.append(_problem(field.removeprefix(_PATH), message, allowed, near))

    alone = Experiment(
        name="by-hand",
        claim="It is seen.",
        topologies=[shape.name],
        duration_s=_LONG_S,
        workloads=[Workload(type="register")],
        faults=[fault],
    )
    rules.experiment(alone, (), report)
    rules.combination(shape, alone, report)
    if problems:
        raise SpecError(problems)
    return fault


def _value(name: str, text: str) -> object:
    try:
        if name in _PERIODS:
            return parse_duration(text)
        return float(text) if name in _FIGURES else text
    except ValueError as error:
        allowed = f"a duration such as {EXAMPLES}" if name in _PERIODS else "a number"
        raise SpecError([_problem(name, f"found {text!r}", allowed)]) from error


def _problem(field: str, message: str, allowed: str = "", near: str = "") -> Problem:
    return Problem(file="chaos", field=field, message=message, allowed=allowed, nearest=near)


async def _inject(place: Address, fault: Fault) -> int:
    """Ask the keeper, and show what it tells. Ctrl-C undoes the fault; a second one leaves that to the keeper."""
    events: list[FaultEvent] = []
    try:
        stream = await trio.open_tcp_stream(place.ip, place.port)
    except OSError as error:
        raise CommandError(f"the keeper of the cluster does not answer: {error}", exits.INCONCLUSIVE) from error
    async with stream, trio.open_nursery() as nursery:
        await stream.send_all(msgspec.json.encode(fault) + b"\n")
        nursery.start_soon(_undo_on_interrupt, stream)
        buffer = b""
        async for data in stream:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                events.append(msgspec.json.decode(line, type=FaultEvent))
                _show(events[-1])
        nursery.cancel_scope.cancel()
    complete = len(events) == (1 if fault.fault in INSTANT else 2)
    return exits.OK if complete and all(event.attested for event in events) else exits.INCONCLUSIVE


async def _undo_on_interrupt(stream: trio.SocketStream) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            print("ha: undoing; once more to leave that to the cluster's keeper", file=sys.stderr)
            await stream.send_eof()
            break


def _show(event: FaultEvent) -> None:
    print(f"{fault_note(event)} (took {event.took_s:.2f} s)")
    if event.evidence:
        print("  " + evidence_summary(event.evidence, event.evidence).replace("\n", "\n  "), flush=True)
