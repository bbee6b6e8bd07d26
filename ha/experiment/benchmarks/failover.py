"""How long nobody's write is acknowledged when a store loses its leader, as its clients see it.

Both stores stand side by side in the real world, with the same timings; while one is hit the other idles. Writes are
sent to the members in turn, one every few milliseconds, whatever becomes of those before: no client waits for an answer
before it asks again, so none sleeps through the moment in which the store is back. What counts is the longest time
between two acknowledgements around the fault, whoever got them. Then the leader comes back, and there is no next fault
until the whole store is ready and writes have been acknowledged without a gap for as long as an election may take.

A killed leader closes its connections, as the death of a process does. A frozen one does not: the others must wait for
the timeout, whose random part is drawn anew each time, so only medians of many rounds mean anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median, quantiles

import msgspec
import trio

from ha.cluster import NoLeaderSeenError, NotReadyError
from ha.etcd.api import PutRequest
from ha.experiment import environment
from ha.experiment.benchmarks import CannotMeasureError, Listener, Measure, Measured, row
from ha.experiment.benchmarks.clusters import Up, cluster_up, with_real_etcd
from ha.experiment.failures import bare
from ha.history.benchmark import FigureTable
from ha.http import Client, HttpError
from ha.spec.benchmarks import Failover, FailoverCase
from ha.world import NotAttestedError, Random

__all__ = ["MEASURE"]

_READY_S = 60.0
_BACK_S = 30.0
"""A store that has not taken a write for so long does not come back."""
_ANSWER_S = 2.0
_STEADY_S = 0.25
"""For so long at least there must be no gap of this length before a fault, and before the gap is taken for over."""
_BODY = msgspec.json.encode(PutRequest(b"/bench/failover", b"x" * 64))
_SEED = 1

_Rounds = dict[str, list[float]]
"""Milliseconds without a write, by the title of the case."""


class _Writers:
    """Writes to all members of a store in turn, and remembers when writes were acknowledged."""

    def __init__(self, up: Up, every_s: float) -> None:
        self._up, self._every_s = up, every_s
        self._acknowledged_s: list[float] = []
        self._sent_s = 0.0
        """When the youngest of those was sent."""
        self._acknowledged = trio.Event()

    async def run(self) -> None:
        """Write until cancelled."""
        clients = [Client(self._up.host.net, address) for address in self._up.layout.members.values()]
        begun_s, sent = trio.current_time(), 0
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    nursery.start_soon(self._write, clients[sent % len(clients)])
                    sent += 1
                    await trio.sleep_until(begun_s + sent * self._every_s)
        finally:
            with trio.CancelScope(shield=True):
                for client in clients:
                    await client.aclose()

    async def _write(self, client: Client) -> None:
        sent_s = trio.current_time()
        try:
            answer = await client.request("POST", "/v3/kv/put", body=_BODY, timeout_s=_ANSWER_S)
        except HttpError:
            return  # not acknowledged: that is what is measured
        if answer.status == 200:
            self._acknowledged_s.append(trio.current_time())
            self._sent_s = max(self._sent_s, sent_s)
            self._acknowledged.set()
            self._acknowledged = trio.Event()

    async def steady(self, for_s: float) -> None:
        """Until writes have been acknowledged for so long without a gap. Raises CannotMeasureError."""
        with trio.move_on_after(_READY_S):
            since_s = trio.current_time()
            while trio.current_time() < since_s + for_s:
                with trio.move_on_after(_STEADY_S) as waiting:
                    await self._acknowledged.wait()
                if waiting.cancelled_caught:
                    since_s = trio.current_time()
            return
        raise CannotMeasureError(f"{self._up.engine}: writes are not acknowledged without gaps")

    async def back(self, since_s: float) -> None:
        """Until a write is acknowledged that was sent after this moment. Raises CannotMeasureError."""
        with trio.move_on_after(_BACK_S):
            while self._sent_s <= since_s:
                await self._acknowledged.wait()
            return
        raise CannotMeasureError(f"{self._up.engine}: no write was acknowledged within {_BACK_S:g} s")

    def longest_gap_ms(self, since_s: float) -> float:
        """Between two acknowledgements, from the last one before this moment on."""
        before = max(at for at in self._acknowledged_s if at <= since_s)
        after = sorted(at for at in self._acknowledged_s if at > since_s)
        return 1000 * max(b - a for a, b in pairwise([before, *after]))


def _measure(spec: Failover, _jobs: int, listener: Listener, directory: Path) -> Measured:
    mine: _Rounds = {case.title: [] for case in spec.cases}
    theirs: _Rounds = {case.title: [] for case in spec.cases}
    real = with_real_etcd(spec.shape, spec.topology)

    async def main() -> None:
        with bare():
            done = 0
            for (heartbeat_s, election_s), group in groupby(sorted(spec.cases, key=_timings), _timings):
                cases, place = list(group), directory / f"{heartbeat_s:g}-{election_s:g}"
                async with (
                    cluster_up(cases[0].shape(spec.shape), place / "ours") as one,
                    cluster_up(cases[0].shape(real), place / "reference") as other,
                ):
                    done = await _rounds(spec, cases, [(one, mine), (other, theirs)], listener, done)

    try:
        trio.run(main)
    except (NotReadyError, NoLeaderSeenError, NotAttestedError) as error:
        raise CannotMeasureError(str(error)) from error
    return Measured(
        rows=[
            row(
                case.title,
                "ms",
                mine[case.title],
                theirs[case.title],
                at_most=None if case.at_most_s is None else 1000 * case.at_most_s,
                ratio_at_most=case.ratio_at_most,
            )
            for case in spec.cases
        ],
        tables=[_table({"ours": mine, "etcd": theirs})],
        versions={"etcd": environment.versions(real)["etcd"]},
    )


def _timings(case: FailoverCase) -> tuple[float, float]:
    return case.etcd_heartbeat_s, case.etcd_election_s


async def _rounds(
    spec: Failover, cases: Sequence[FailoverCase], stores: Sequence[tuple[Up, _Rounds]], listener: Listener, done: int
) -> int:
    """Fault by fault, one store right after the other, who comes first by turns. How many steps are done then."""
    random = Random(_SEED)
    for i in range(spec.rounds):
        for case in cases:
            listener.step(done, spec.rounds * len(spec.cases), f"round {i + 1}: {case.title}")
            for up, found in stores if i % 2 == 0 else reversed(stores):
                found[case.title].append(await _hit(up, case, spec.every_s, random))
            ours, theirs = (found[case.title][-1] for _, found in stores)
            listener.note(f"ours {ours:.0f} ms, etcd {theirs:.0f} ms: {ours / theirs:.2f} x")
            done += 1
    return done


async def _hit(up: Up, case: FailoverCase, every_s: float, random: Random) -> float:
    """Take the leader away and give it back; for how many milliseconds no write was acknowledged."""
    writers = _Writers(up, every_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writers.run)
        await writers.steady(max(_STEADY_S, case.etcd_election_s))
        await trio.sleep(random.random() * case.etcd_heartbeat_s)  # anywhere between two heartbeats
        leader = await up.view.etcd_leader()
        begun_s = trio.current_time()
        if case.fault == "kill":
            await up.cluster.power_off(leader)
        else:
            await up.cluster.signal(leader, "pause")
        await writers.back(trio.current_time())
        await writers.steady(_STEADY_S)
        gap_ms = writers.longest_gap_ms(begun_s)
        if case.fault == "kill":
            await up.cluster.boot(leader)
        else:
            await up.cluster.signal(leader, "resume")
        nursery.cancel_scope.cancel()
    await up.cluster.wait_ready(up.host, timeout_s=_READY_S)
    return gap_ms


def _table(stores: Mapping[str, _Rounds]) -> FigureTable:
    rows: list[list[str | float | int | None]] = []
    for name, rounds in stores.items():
        for title, values in rounds.items():
            p95 = quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
            rows.append([name, title, *(round(value, 1) for value in (min(values), median(values), p95, max(values)))])
    return FigureTable(
        title="Milliseconds without an acknowledged write",
        note="Over all rounds. Times cannot be told more exactly than a write is sent to each member.",
        columns=["", "", "least", "median", "p95", "longest"],
        figures_from=2,
        rows=rows,
    )


MEASURE = Measure(
    name="failover",
    reference="the real etcd with the same timeouts, hit in turns",
    measure=_measure,
)
