"""``ha up``, ``ha status``, ``ha down``: clusters that stay.

A cluster is kept by a process of its own (`ha.cli.keeper`); everything about it stands in a directory under
``~/.local/state/ha``, which goes when the cluster goes down.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

import msgspec
import trio

from ha.cli import exits, status
from ha.cli.errors import CommandError
from ha.cli.interrupts import InterruptedByUserError, run_interruptible
from ha.experiment.keep import ClusterState
from ha.spec import Scenario, Topology
from ha.spec.load import SpecError, load, resolve
from ha.spec.problems import ROOT, Problem
from ha.world.real import daemon

__all__ = ["register", "topology_of"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_UP_LIMIT_S = 90.0
_DOWN_GRACE_S = 10.0


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    up = subparsers.add_parser(
        "up",
        help="bring a cluster up that stays, and write its kubeconfig",
        description="Bring up the cluster of a topology and leave it running in the background.",
    )
    up.add_argument("file", help="a Topology or a Scenario: a file, or a name of the catalogue")
    up.add_argument("--name", help="what to call the cluster (default: the topology's name)")
    up.add_argument("--json", action="store_true", help="print the cluster as one JSON object on stdout")
    up.set_defaults(command=_up)

    state = subparsers.add_parser(
        "status",
        help="show clusters that are up",
        description="Ask every part of a cluster how it is. Exit code: 0 all of it is well, 1 something is not.",
    )
    state.add_argument("name", nargs="?", help="a cluster (default: all of them)")
    state.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    state.set_defaults(command=_status)

    down = subparsers.add_parser("down", help="take a cluster down", description="Take a cluster down for good.")
    down.add_argument("name", nargs="?", help="a cluster (default: the only one)")
    down.add_argument("--all", action="store_true", help="take every cluster down")
    down.set_defaults(command=_down)


def _root() -> Path:
    return Path.home() / ".local" / "state" / "ha"


def _up(arguments: argparse.Namespace) -> int:
    topology = topology_of(arguments.file)
    name = arguments.name or topology.name
    if not _NAME.fullmatch(name):
        raise CommandError(f"--name: found {name!r}; allowed: lower-case letters, digits and '-'", exits.BAD_INPUT)
    directory = _root() / name
    if _read(name) is not None:
        raise CommandError(f"cluster {name} is up already; 'ha down {name}' first, or choose another --name")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    file = str(resolve(arguments.file).absolute())
    pid, started = daemon.spawn("ha.cli.keeper", [file, name, str(directory)], directory / "keeper.log")

    async def wait() -> ClusterState | None:
        try:
            with trio.move_on_after(_UP_LIMIT_S):
                while daemon.is_alive(pid, started):
                    state = _read(name)
                    if state is not None:
                        return state
                    await trio.sleep(0.05)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await daemon.stop(pid, started, grace_s=_DOWN_GRACE_S)
            raise
        await daemon.stop(pid, started, grace_s=_DOWN_GRACE_S)
        return None

    try:
        state = run_interruptible(wait)
    except InterruptedByUserError as error:
        raise CommandError(str(error), exits.INTERRUPTED) from error
    if state is None:
        last = (directory / "keeper.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        reason = last[0] if last else "it ended without a word"
        raise CommandError(f"cluster {name} did not come up: {reason}\n    logs: {directory}")
    if arguments.json:
        sys.stdout.buffer.write(msgspec.json.encode(state) + b"\n")
        return exits.OK
    print(f"cluster {name} is up: {len(state.nodes)} nodes, ready after {state.ready_s:.1f} s")
    print(f"  export KUBECONFIG={state.kubeconfig}")
    print("  kubectl get nodes -o json")
    print(f"  ha status {name}\n  ha down {name}")
    return exits.OK


def topology_of(file: str) -> Topology:
    """The topology in a file. Raises SpecError."""
    spec = load(resolve(file))
    if isinstance(spec, Scenario):
        return spec.topology
    if isinstance(spec, Topology):
        return spec
    kind = type(spec).__name__
    raise SpecError([Problem(file=file, field=ROOT, message=f"is an {kind}", allowed="a Topology or a Scenario")])


def _status(arguments: argparse.Namespace) -> int:
    states = [_known(arguments.name)] if arguments.name else _all()
    if arguments.name is None and not states and not arguments.json:
        print("no cluster is up; bring one up with 'ha up stacked-3'")
        return exits.OK
    reports = [trio.run(status.ask, state) for state in states]
    if arguments.json:
        sys.stdout.buffer.write(msgspec.json.encode({"clusters": reports}) + b"\n")
    else:
        for report in reports:
            status.show(report)
    return exits.OK if all(report.healthy for report in reports) else exits.FAILED


def _down(arguments: argparse.Namespace) -> int:
    if arguments.all:
        states = _all()
    elif arguments.name:
        states = [_known(arguments.name)]
    else:
        states = _all()
        if len(states) > 1:
            names = ", ".join(state.name for state in states)
            raise CommandError(f"more than one cluster is up ({names}): name one, or say --all", exits.BAD_INPUT)
    if not states:
        print("no cluster is up")
    for state in states:
        trio.run(_take_down, state)
        print(f"cluster {state.name} is down")
    return exits.OK


async def _take_down(state: ClusterState) -> None:
    await daemon.stop(state.pid, state.pid_started, grace_s=_DOWN_GRACE_S)
    shutil.rmtree(state.directory)


def _all() -> list[ClusterState]:
    names = sorted(path.parent.name for path in _root().glob("*/cluster.json"))
    return [state for name in names if (state := _read(name)) is not None]


def _known(name: str) -> ClusterState:
    state = _read(name)
    if state is None:
        names = ", ".join(state.name for state in _all()) or "none"
        raise CommandError(f"no cluster {name!r} is up; up: {names}", exits.BAD_INPUT)
    return state


def _read(name: str) -> ClusterState | None:
    """The cluster of that name, when it is up and its keeper alive."""
    try:
        content = (_root() / name / "cluster.json").read_bytes()
    except FileNotFoundError:
        return None
    state = msgspec.json.decode(content, type=ClusterState)
    return state if daemon.is_alive(state.pid, state.pid_started) else None
