"""What a cluster takes of the machine's memory, beside the same cluster with the real etcd in our store's place.

Proportional set size: a page that several processes share counts for each by its share, so the sum is what the machine
gives. Read when the cluster has just become ready, and when as many ConfigMaps were created as the file says and every
API server's cache has heard of the last one. One cluster at a time, so that none takes the other's memory or cores.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from statistics import mean, median

import trio

from ha.cluster import NotReadyError
from ha.experiment import environment
from ha.experiment.benchmarks import CannotMeasureError, Listener, Measure, Measured, row
from ha.experiment.benchmarks.clusters import Up, cluster_up, with_real_etcd
from ha.experiment.failures import bare
from ha.history.benchmark import FigureTable
from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import CONFIG_MAP
from ha.spec import Topology
from ha.spec.benchmarks import Memory
from ha.world import Address

__all__ = ["MEASURE"]

_MIB = 1024 * 1024
_CLIENTS = 16
_CLIENT_S = 10.0
_FILL_S = 120.0
_AGAIN_S = 0.1
_EXISTS = 409
_OURSELVES = "world/supervisor"
"""This process, which is no part of the cluster."""
_WHOLE, _MEMBER = "whole cluster", "etcd"

_Rounds = dict[str, dict[str, list[float]]]
"""MiB, a figure for each round: by state of the cluster, then by kind of process (the mean of all) or the whole."""


def _measure(spec: Memory, _jobs: int, listener: Listener, directory: Path) -> Measured:
    real = with_real_etcd(spec.shape, spec.topology)
    states = ("idle", f"with {spec.objects:,} objects")
    ours: _Rounds = {state: defaultdict(list) for state in states}
    theirs: _Rounds = {state: defaultdict(list) for state in states}
    for i in range(spec.rounds):
        both = [(spec.shape, ours, "ours"), (real, theirs, "reference")]
        for j, (shape, found, side) in enumerate(both if i % 2 == 0 else reversed(both)):
            listener.step(2 * i + j, 2 * spec.rounds, f"round {i + 1}: {side}")
            for state, sizes in zip(states, _sizes(spec, shape, directory / f"{i + 1}" / side), strict=True):
                for name, size in sizes.items():
                    found[state][name].append(size)
            listener.note(", ".join(f"{state} {sizes[_WHOLE][-1]:.0f} MiB" for state, sizes in found.items()))
    rows = [
        row(
            f"{'one etcd member' if name == _MEMBER else name}, {state}",
            "MiB",
            ours[state][name],
            theirs[state][name],
            at_most=spec.total_at_most_mib if name == _WHOLE and state == states[-1] else None,
        )
        for name in (_WHOLE, _MEMBER)
        for state in states
    ]
    return Measured(
        rows=rows,
        tables=[_table(ours, theirs)],
        versions={"etcd": environment.versions(real)["etcd"]},
    )


def _sizes(spec: Memory, shape: Topology, directory: Path) -> list[dict[str, float]]:
    """When it is ready, and when it holds the objects."""

    async def main() -> list[dict[str, float]]:
        with bare():
            async with cluster_up(shape, directory) as up:
                idle = await up.world.memory_bytes()
                await _fill(up, spec)
                return [_by_kind(idle), _by_kind(await up.world.memory_bytes())]

    try:
        return trio.run(main)
    except (NotReadyError, HttpError, ApiError) as error:
        raise CannotMeasureError(str(error)) from error


async def _fill(up: Up, spec: Memory) -> None:
    """Create the objects, and have every API server's cache hear of the last one. Raises CannotMeasureError."""
    assert up.layout.endpoint is not None, "there is a control plane"
    client = _client(up, up.layout.endpoint)
    numbers = iter(range(spec.objects))

    async def create() -> None:
        for number in numbers:
            await _create(client, f"bench-{number}", "x" * spec.object_bytes)

    with trio.move_on_after(_FILL_S):
        async with aclosing(client):
            async with trio.open_nursery() as nursery:
                for _ in range(min(_CLIENTS, spec.objects)):
                    nursery.start_soon(create)
            newest = (await client.list(CONFIG_MAP, "default")).resource_version
        for address in up.layout.api_servers.values():
            async with aclosing(_client(up, address)) as each:
                await each.list(CONFIG_MAP, "default", resource_version=newest)
        return
    raise CannotMeasureError(f"{up.engine}: {spec.objects} objects were not created within {_FILL_S:g} s")


def _client(up: Up, address: Address) -> KubeClient:
    return KubeClient(up.host.net, address, user_agent="ha-bench", timeout_s=_CLIENT_S)


async def _create(client: KubeClient, name: str, data: str) -> None:
    """Until it is there, however often that is asked for: on a busy machine an answer may not come."""
    while True:
        try:
            await client.create(CONFIG_MAP, {"metadata": {"name": name}, "data": {"x": data}}, "default")
        except ApiError as error:
            if error.status == _EXISTS:
                return
            await trio.sleep(_AGAIN_S)
        except HttpError:
            await trio.sleep(_AGAIN_S)
        else:
            return


def _by_kind(sizes: Mapping[str, int]) -> dict[str, float]:
    """MiB: of a process of each kind on the average, and of all."""
    kinds = defaultdict[str, list[float]](list)
    for who, size in sizes.items():
        if who != _OURSELVES:
            kinds[who.rpartition("/")[2]].append(size / _MIB)
    whole = sum(map(sum, kinds.values()))
    return {_WHOLE: whole} | {kind: mean(each) for kind, each in sorted(kinds.items())}


def _table(ours: _Rounds, theirs: _Rounds) -> FigureTable:
    columns = [(side, state) for state in ours for side in (ours, theirs)]
    rows: list[list[str | float | int | None]] = [
        [kind, *(round(median(side[state][kind]), 1) if kind in side[state] else None for side, state in columns)]
        for kind in next(iter(ours.values()))
    ]
    return FigureTable(
        title="MiB of each process",
        note="Medians over the rounds of the mean over all processes of a kind. The zygote forks the others.",
        columns=["", *(f"{state}, {side}" for state in ours for side in ("ours", "with etcd"))],
        rows=rows,
    )


MEASURE = Measure(
    name="memory",
    reference="the same cluster with the real etcd in our store's place",
    measure=_measure,
)
