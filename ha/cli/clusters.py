"""``ha up``, ``ha status``, ``ha down``: clusters that stay.

A cluster is kept by a process of its own (`ha.cli.keeper`); what is known about it is in files (`ha.cli.kept`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import get_args

import trio

from ha.cli import exits, status
from ha.cli.console import show_json
from ha.cli.errors import CommandError
from ha.cli.interrupts import InterruptedByUserError, run_interruptible
from ha.cli.kept import Condition, DamagedError, Kept, all_kept, is_name, kept
from ha.experiment import worlds
from ha.experiment.keep import ClusterState
from ha.spec import Engine, LoadBalancerEngine
from ha.spec.load import resolve, topology
from ha.world.real import daemon

__all__ = ["register"]

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
    up.add_argument(
        "--engine",
        choices=get_args(Engine),
        help="what keeps the store's members agreed; etcd: the real one (default: the topology's)",
    )
    up.add_argument(
        "--load-balancer",
        choices=get_args(LoadBalancerEngine),
        help="what stands before the API servers; haproxy: the real one (default: the topology's)",
    )
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


def _up(arguments: argparse.Namespace) -> int:
    asked = topology(arguments.file, engine=arguments.engine, load_balancer=arguments.load_balancer)
    shape = worlds.equipped(asked, arguments.file)
    name = arguments.name or shape.name
    if not is_name(name):
        raise CommandError(f"--name: found {name!r}; allowed: lower-case letters, digits and '-'", exits.BAD_INPUT)
    cluster = kept(name)
    if cluster.keeper() is not None:
        raise CommandError(cluster.describe(), exits.BAD_INPUT)
    engines = [arguments.engine or "", arguments.load_balancer or ""]
    state = _bring_up(cluster, str(resolve(arguments.file).absolute()), engines)
    if arguments.json:
        show_json(state)
        return exits.OK
    print(f"cluster {name} is up: {len(state.nodes)} nodes, ready after {state.ready_s:.1f} s")
    if state.kubeconfig is not None:
        print(f"  export KUBECONFIG={state.kubeconfig}")
        print("  kubectl get nodes -o json")
    else:
        print(f"  etcd v3 as JSON: {', '.join(f'http://{address}' for address in state.members.values())}")
    print(f"  ha status {name}\n  ha down {name}")
    return exits.OK


def _bring_up(cluster: Kept, file: str, engines: Sequence[str]) -> ClusterState:
    """Start a keeper and wait for what it makes. Raises CommandError."""
    place = cluster.log.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        log = NamedTemporaryFile(dir=place, prefix=f"{cluster.name}.", suffix=".log", delete=False)  # noqa: SIM115  (below)
    except OSError as error:
        raise CommandError(f"{place}: cannot hold a cluster: {error.strerror}", exits.BAD_INPUT) from error
    draft = Path(log.name)  # the keeper makes it the cluster's log when it gets the name
    with log:
        try:
            pid, started = daemon.spawn("ha.cli.keeper", [file, cluster.name, str(draft), *engines], log)
            state = run_interruptible(partial(_wait_up, cluster, pid, started))
            if state is not None:
                return state
            log.seek(0)
            said = log.read().decode(errors="replace").strip().splitlines()
        except InterruptedByUserError as error:
            if not draft.exists() and cluster.keeper() is None:  # the keeper had got the name, and is gone
                cluster.remove(with_log=True)
            raise CommandError(str(error), exits.INTERRUPTED) from error
        finally:
            draft.unlink(missing_ok=True)
    reason = said[-1] if said else "it ended without a word"
    if cluster.keeper() is not None:
        raise CommandError(reason, exits.BAD_INPUT)
    message = f"cluster {cluster.name} did not come up: {reason}\n    logs: {cluster.directory}, {cluster.log}"
    raise CommandError(message, exits.INCONCLUSIVE)


async def _wait_up(cluster: Kept, pid: int, started: str) -> ClusterState | None:
    """What the keeper of that pid brought up; None when it did not, and then it is gone."""
    try:
        with trio.move_on_after(_UP_LIMIT_S):
            while daemon.is_alive(pid, started):
                with suppress(DamagedError):  # what an earlier one left: this one has not cleared it yet
                    state = cluster.state()
                    if state is not None and state.pid == pid:
                        return state
                await trio.sleep(0.05)
    except BaseException:
        with trio.CancelScope(shield=True):
            await daemon.stop(pid, started, grace_s=_DOWN_GRACE_S)
        raise
    await daemon.stop(pid, started, grace_s=_DOWN_GRACE_S)
    return None


def _status(arguments: argparse.Namespace) -> int:
    clusters = [_known(arguments.name)] if arguments.name else all_kept()
    if not clusters and not arguments.json:
        print("no cluster is up; bring one up with 'ha up stacked-3'")
        return exits.OK
    reports = []
    for cluster in clusters:
        try:
            state = cluster.state()
        except DamagedError as error:
            print(f"ha: {error}", file=sys.stderr)
            continue
        if state is not None:
            reports.append(trio.run(status.ask, state))
        elif cluster.condition() is Condition.COMING_UP:
            print(f"ha: cluster {cluster.name} is coming up", file=sys.stderr)
        else:
            print(f"ha: {cluster.describe()}", file=sys.stderr)
    if arguments.json:
        show_json({"clusters": reports})
    else:
        for report in reports:
            status.show(report)
    well = len(reports) == len(clusters) and all(report.healthy for report in reports)
    return exits.OK if well else exits.FAILED


def _down(arguments: argparse.Namespace) -> int:
    clusters = [_known(arguments.name)] if arguments.name and not arguments.all else all_kept()
    if not arguments.all and not arguments.name:
        clusters = [cluster for cluster in clusters if cluster.condition() is not Condition.DIED] or clusters
        if len(clusters) > 1:
            names = ", ".join(cluster.name for cluster in clusters)
            raise CommandError(f"more than one cluster is there ({names}): name one, or say --all", exits.BAD_INPUT)
    if not clusters:
        print("no cluster is up")
    for cluster in clusters:
        _take_down(cluster)
    return exits.OK


def _take_down(cluster: Kept) -> None:
    keeper = cluster.keeper()
    if keeper is not None:
        trio.run(partial(daemon.stop, *keeper, grace_s=_DOWN_GRACE_S))
    cluster.remove(with_log=keeper is not None)
    if keeper is not None:
        print(f"cluster {cluster.name} is down")
    else:
        log = f"; what its keeper said: {cluster.log}" if cluster.log.exists() else ""
        print(f"cluster {cluster.name} had died; what it left is removed{log}")


def _known(name: str) -> Kept:
    clusters = all_kept()
    for cluster in clusters:
        if cluster.name == name:
            return cluster
    names = ", ".join(cluster.name for cluster in clusters) or "none"
    raise CommandError(f"no cluster {name!r} is up; up: {names}", exits.BAD_INPUT)
