"""What a load balancer relays for each second of a core, beside the real HAProxy and beside no load balancer at all.

The two balancers are the processes that the topology's plan would boot, on nodes of their own in one world, before the
same backends: processes that answer at once (`ends`). The same clients, in this process, ask through the one, through
the other, and the backends themselves, in turns; whoever is not asked idles, but for its health checks. What is told is
related to the processor time of the balancer alone, as the kernel accounts for it: cores are shared, and clients and
backends take theirs. What the clients took of a core is told beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time  # noqa: TID251  (what the clients cost is real time)

import msgspec
import trio

from ha.cluster import Plan, node_names, plan
from ha.experiment import environment, worlds
from ha.experiment.benchmarks import CannotMeasureError, Listener, Measure, Measured, row
from ha.experiment.benchmarks.ends import Asker, BrokenError, Clients, Config
from ha.experiment.failures import bare
from ha.history.benchmark import FigureTable, Row
from ha.spec import Topology
from ha.spec.benchmarks import BalancerCase, BalancerLoad, LoadBalancing
from ha.world import Address, World
from ha.world.real.remains import processor_time_s

__all__ = ["MEASURE"]

_RESPONDER = "ha.experiment.benchmarks.ends:respond"
_LATER = "added to one GET"
_OURS, _HAPROXY, _DIRECT = "ours", "HAProxy", "direct"
_FRONT, _REFERENCE = "load-balancer", "reference"
"""The nodes of the balancers."""
_READY_S = 20.0
_SETTLE_S = 0.2
_IN_A_ROW = 20
"""So many answers are asked for before trio has its turn."""
_SEED = 1
_UNITS: dict[BalancerLoad, str] = {"gets": "GET/core s", "connections": "conn/core s", "bulk": "GB/core s"}


@dataclass(frozen=True, slots=True)
class _Way:
    """From the clients to the backends: through a balancer, or straight."""

    name: str
    addresses: list[Address]
    pids: list[int]
    """Of whoever's processor time counts: the balancer, or the backends."""


@dataclass(frozen=True, slots=True)
class _Figures:
    """What one case came to on one way in one round."""

    amount: float
    """Answers, or gigabytes, as the unit has it."""
    cpu_s: float
    took_s: float
    p50_ms: float
    clients_share: float

    @property
    def per_core_s(self) -> float:
        return self.amount / self.cpu_s


_Rounds = dict[str, dict[str, list[_Figures]]]
"""By way, then by case."""


def _measure(spec: LoadBalancing, _jobs: int, listener: Listener, directory: Path) -> Measured:
    real = worlds.equipped(_with_haproxy(spec.shape), spec.topology)
    later: dict[str, list[float]] = {_OURS: [], _HAPROXY: []}
    found: _Rounds = {way: {case.title: [] for case in spec.cases} for way in (_OURS, _HAPROXY, _DIRECT)}

    async def main() -> None:
        with bare():
            async with _up(spec, real, directory) as ways:
                await _rounds(spec, ways, found, later, listener)

    try:
        trio.run(main)
    except BrokenError as error:
        raise CannotMeasureError(str(error)) from error
    return Measured(
        rows=[
            *(_row(case, found) for case in spec.cases),
            row(_LATER, "µs", later[_OURS], later[_HAPROXY]),
        ],
        tables=[_table(way, found[way]) for way in found],
        versions={"haproxy": environment.versions(real)["haproxy"]},
    )


def _with_haproxy(topology: Topology) -> Topology:
    balancer = msgspec.structs.replace(topology.load_balancer, engine="haproxy")
    return msgspec.structs.replace(topology, load_balancer=balancer)


@asynccontextmanager
async def _up(spec: LoadBalancing, real: Topology, directory: Path) -> AsyncIterator[list[_Way]]:
    """Backends that answer, and both balancers, which say so."""
    nodes = [*node_names(spec.shape), _REFERENCE]
    async with worlds.real(nodes=nodes, directory=directory, seed=_SEED) as world:
        addresses = {node: world.address(node) for node in nodes}
        ours = plan(spec.shape, addresses, cluster_token="")
        theirs = plan(real, addresses | {_FRONT: addresses[_REFERENCE]}, cluster_token="")
        backends = list(ours.api_servers.values())
        config = msgspec.json.encode(_ends(spec, backends[0].port))
        pids = [(await world.boot(node, "backend", _RESPONDER, config)).pid for node in ours.api_servers]
        yield [
            _Way(_OURS, [_endpoint(ours)], [await _boot(world, _FRONT, ours)]),
            _Way(_HAPROXY, [_endpoint(theirs)], [await _boot(world, _REFERENCE, theirs)]),
            _Way(_DIRECT, backends, pids),
        ]


def _ends(spec: LoadBalancing, port: int) -> Config:
    return Config(port=port, response_bytes=spec.response_bytes, bulk_bytes=spec.bulk_bytes)


def _endpoint(layout: Plan) -> Address:
    assert layout.endpoint is not None, "there are control planes"
    return layout.endpoint


async def _boot(world: World, node: str, layout: Plan) -> int:
    """Boot the balancer of a plan on a node; its pid."""
    first = layout.nodes[_FRONT]
    return (await world.boot(node, first.process, first.program, first.config)).pid


async def _rounds(
    spec: LoadBalancing, ways: Sequence[_Way], found: _Rounds, later: dict[str, list[float]], listener: Listener
) -> None:
    """Case by case, one way right after the other, who comes first by turns."""
    config = _ends(spec, ways[0].addresses[0].port)
    for way in ways:
        await _until_served(way, config)
    steps = len(spec.cases) + 1
    for i in range(spec.rounds):
        listener.step(i * steps, spec.rounds * steps, f"round {i + 1}: {_LATER}")
        added = await _added(ways, spec.duration_s, config)
        for name, value in added.items():
            later[name].append(value)
        listener.note(f"ours {added[_OURS]:.3g} µs, HAProxy {added[_HAPROXY]:.3g} µs")
        for j, case in enumerate(spec.cases):
            listener.step(i * steps + j + 1, spec.rounds * steps, f"round {i + 1}: {case.title}")
            for k in range(len(ways)):
                way = ways[(i + k) % len(ways)]
                found[way.name][case.title].append(await _loaded(way, case, spec.duration_s, config))
            ours, theirs = (found[name][case.title][-1].per_core_s for name in (_OURS, _HAPROXY))
            listener.note(f"ours {ours:.3g}, HAProxy {theirs:.3g} {_UNITS[case.load]}: {ours / theirs:.2f} x")


async def _until_served(way: _Way, config: Config) -> None:
    """Until a request is answered: whoever was just started may refuse."""
    with trio.move_on_after(_READY_S):
        while True:
            clients = Clients("gets", way.addresses, 1, config)
            try:
                if (await clients.ask(_SETTLE_S)).taken_ms:
                    return
            except BrokenError:
                await trio.sleep(_SETTLE_S)
            finally:
                clients.close()
    raise CannotMeasureError(f"{way.name}: no request was answered within {_READY_S:g} s")


async def _loaded(way: _Way, case: BalancerCase, duration_s: float, config: Config) -> _Figures:
    clients = Clients(case.load, way.addresses, case.connections, config)
    try:
        await clients.ask(_SETTLE_S)  # every connection is open now
        cpu_s, clients_s = sum(map(processor_time_s, way.pids)), process_time()
        answered = await clients.ask(duration_s)
        cpu_s, clients_s = sum(map(processor_time_s, way.pids)) - cpu_s, process_time() - clients_s
    finally:
        clients.close()
    if not answered.taken_ms or cpu_s <= 0:
        raise CannotMeasureError(f"{way.name}: {case.title}: nothing was answered within {duration_s:g} s")
    return _Figures(
        amount=answered.received_bytes / 1e9 if case.load == "bulk" else len(answered.taken_ms),
        cpu_s=cpu_s,
        took_s=answered.took_s,
        p50_ms=median(answered.taken_ms),
        clients_share=clients_s / answered.took_s,
    )


async def _added(ways: Sequence[_Way], duration_s: float, config: Config) -> dict[str, float]:
    """By how many microseconds an answer is later through each balancer than from a backend itself: medians of the
    differences, where all are asked right after each other, again and again.
    """
    askers = {way.name: Asker(way.addresses[0], config, within_s=_READY_S) for way in ways}
    later: dict[str, list[float]] = {way.name: [] for way in ways if way.name != _DIRECT}
    end_s = trio.current_time() + duration_s
    try:
        while trio.current_time() < end_s:
            for _ in range(_IN_A_ROW):
                taken = {name: asker.ask() for name, asker in askers.items()}
                for name, differences in later.items():
                    differences.append(taken[name] - taken[_DIRECT])
            await trio.lowlevel.checkpoint()
    finally:
        for asker in askers.values():
            asker.close()
    return {name: median(differences) for name, differences in later.items()}


def _row(case: BalancerCase, found: _Rounds) -> Row:
    ours, theirs = ([one.per_core_s for one in found[way][case.title]] for way in (_OURS, _HAPROXY))
    return row(case.title, _UNITS[case.load], ours, theirs, ratio_at_least=case.at_least)


def _table(way: str, figures: Mapping[str, Sequence[_Figures]]) -> FigureTable:
    rows: list[list[str | float | int | None]] = []
    for case, rounds in figures.items():
        middle = partial(_middle, rounds)
        rows.append([case, middle("rate"), middle("p50_ms"), middle("busy"), middle("clients")])
    whose = "the backends, all together" if way == _DIRECT else "the balancer"
    return FigureTable(
        title={_OURS: "Through ours", _HAPROXY: "Through HAProxy", _DIRECT: "Without a balancer"}[way],
        note=f"Medians over the rounds. Busy: the share of a core that {whose} took. The clients are one process: near "
        "100 % they are what limits.",
        columns=["", "answers or GB / s", "p50 ms", "busy, % of a core", "clients, % of a core"],
        rows=rows,
    )


def _middle(rounds: Sequence[_Figures], what: str) -> float:
    values = {
        "rate": [one.amount / one.took_s for one in rounds],
        "p50_ms": [one.p50_ms for one in rounds],
        "busy": [100 * one.cpu_s / one.took_s for one in rounds],
        "clients": [100 * one.clients_share for one in rounds],
    }
    return float(f"{median(values[what]):.3g}")


MEASURE = Measure(
    name="load-balancer",
    reference="the real HAProxy with one thread, told to check and retry as ours does",
    measure=_measure,
)
