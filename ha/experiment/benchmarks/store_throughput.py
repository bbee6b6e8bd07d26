"""How much a store takes beside the real etcd: requests per second, in a closed loop, by so many clients at once.

Both stores stand side by side in the real world, each with its members on loopback addresses and disks of their own,
the same topology but for the engine; while one is measured the other idles. The same clients ask either, in a closed
loop that takes as little as can be (`ha.experiment.benchmarks.closed_loop`), with requests encoded beforehand, one
connection each: all of them with the leader, or shared out among all members, as API servers are. They ask once
before the clock runs, so that every connection is open. Between rounds both stores are compacted, as an API
server does.

The clients are one thread. What share of a core it took, and what the members took per request, is told beside:
requests per second mean little without them where all share two cores, whoever else uses these.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import msgspec
import trio

from ha.cluster import NotReadyError, Plan, View
from ha.etcd.api import CompactionRequest, PutRequest, RangeRequest
from ha.etcd.client import EtcdError
from ha.experiment import environment
from ha.experiment.benchmarks import CannotMeasureError, Listener, Measure, Measured, row
from ha.experiment.benchmarks.closed_loop import ClosedLoop
from ha.experiment.benchmarks.clusters import cluster_up, with_real_etcd
from ha.experiment.failures import bare
from ha.history.benchmark import FigureTable
from ha.http import Client, HttpError
from ha.http.encoding import encode_request
from ha.spec import StoreThroughput, Topology
from ha.spec.benchmarks import StoreOperation, ThroughputCase
from ha.world import Address, Host, Random, World
from ha.world.real.remains import processor_time_s

__all__ = ["MEASURE"]

_READY_S = 60.0
_ANSWER_S = 10.0
_SEED = 1
_PATHS: dict[StoreOperation, str] = {
    "put": "/v3/kv/put",
    "read": "/v3/kv/range",
    "serializable-read": "/v3/kv/range",
}
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Figures:
    """What one case on one store came to in one round."""

    per_s: float
    p50_ms: float
    p99_ms: float
    clients_share: float
    """Of a core, that the clients took."""
    members_us: float
    """Of a core, that the members took together for one request."""


@dataclass(frozen=True, slots=True)
class _Store:
    """One of the two, up and serving."""

    world: World
    layout: Plan
    host: Host
    view: View
    bodies: dict[StoreOperation, list[bytes]] = field(default_factory=dict)

    async def leader(self) -> Address:
        """Where the member that leads serves clients."""
        return self.layout.members[await self.view.etcd_leader()]

    def client(self, address: Address) -> Client:
        """Of one member."""
        return Client(self.host.net, address)

    async def members_s(self) -> float:
        """Seconds of a core that its members took up to now."""
        running = [process for node in self.layout.members for process in await self.world.processes(node)]
        return sum(processor_time_s(process.pid) for process in running if process.name == "etcd")

    async def ask(self, client: Client, operation: StoreOperation, body: bytes) -> bytes:
        """One request. Raises CannotMeasureError when it is not answered as it should be."""
        try:
            answer = await client.request("POST", _PATHS[operation], body=body, timeout_s=_ANSWER_S)
        except HttpError as error:
            raise CannotMeasureError(f"{self.name}: {operation}: {error}") from error
        if answer.status != 200:
            raise CannotMeasureError(f"{self.name}: {operation}: {answer.status} {answer.body[:200]!r}")
        return answer.body

    @property
    def name(self) -> str:
        """Of its engine."""
        return self.layout.topology.etcd.engine


def _measure(spec: StoreThroughput, _jobs: int, listener: Listener, directory: Path) -> Measured:
    ours, real = spec.shape, with_real_etcd(spec.shape, spec.topology)
    mine: dict[str, list[_Figures]] = {case.title: [] for case in spec.cases}
    theirs: dict[str, list[_Figures]] = {case.title: [] for case in spec.cases}

    async def main() -> None:
        with bare():
            async with _up(ours, directory / "ours", spec) as one, _up(real, directory / "reference", spec) as other:
                await _rounds(spec, [(one, mine), (other, theirs)], listener)

    try:
        trio.run(main)
    except (NotReadyError, EtcdError) as error:
        raise CannotMeasureError(str(error)) from error
    rows = [
        row(
            case.title,
            "req/s",
            [one.per_s for one in mine[case.title]],
            [one.per_s for one in theirs[case.title]],
            ratio_at_least=case.at_least,
        )
        for case in spec.cases
    ]
    etcd = environment.versions(real)["etcd"]
    tables = [_table("What a request took of ours", mine), _table("What a request took of etcd", theirs)]
    return Measured(rows=rows, tables=tables, versions={"etcd": etcd})


@asynccontextmanager
async def _up(topology: Topology, directory: Path, spec: StoreThroughput) -> AsyncIterator[_Store]:
    """A store that serves, and holds every key."""
    async with cluster_up(topology, directory) as up:
        store = _Store(up.world, up.layout, up.host, up.view, _bodies(spec))
        async with aclosing(store.client(await store.leader())) as client:
            for body in store.bodies["put"]:
                await store.ask(client, "put", body)
            for operation in ("read", "serializable-read"):
                answer = await store.ask(client, operation, store.bodies[operation][-1])
                if b'"kvs"' not in answer:
                    raise CannotMeasureError(f"{store.name}: what was written is not read: {answer[:200]!r}")
        yield store


def _bodies(spec: StoreThroughput) -> dict[StoreOperation, list[bytes]]:
    """Requests for each key, the same for both stores."""
    random = Random(_SEED)
    keys = [f"/bench/{i:06}".encode() for i in range(spec.keys)]
    return {
        "put": [_encode(PutRequest(key, random.randbytes(spec.value_bytes))) for key in keys],
        "read": [_encode(RangeRequest(key)) for key in keys],
        "serializable-read": [_encode(RangeRequest(key, serializable=True)) for key in keys],
    }


async def _rounds(
    spec: StoreThroughput, stores: Sequence[tuple[_Store, dict[str, list[_Figures]]]], listener: Listener
) -> None:
    """Case by case, one store right after the other, who comes first by turns."""
    total = spec.rounds * len(spec.cases)
    for i in range(spec.rounds):
        for j, case in enumerate(spec.cases):
            listener.step(i * len(spec.cases) + j, total, f"round {i + 1}: {case.title}")
            for store, figures in stores if i % 2 == 0 else reversed(stores):
                figures[case.title].append(await _loaded(store, case, spec.duration_s))
            ours, theirs = (figures[case.title][-1].per_s for _, figures in stores)
            listener.note(f"ours {ours:.0f}/s, etcd {theirs:.0f}/s: {ours / theirs:.2f} x")
        for store, _ in stores:
            await _compact(store)


async def _loaded(store: _Store, case: ThroughputCase, duration_s: float) -> _Figures:
    """So many clients, each asking again as soon as it is answered."""
    asked = [await store.leader()] if case.ask == "leader" else list(store.layout.members.values())
    path = _PATHS[case.operation]
    requests = [encode_request("POST", path, "host: etcd\r\n", {}, body) for body in store.bodies[case.operation]]
    loop = ClosedLoop(asked, store.host.address, requests, clients=case.clients)
    try:
        async with _in_thread(loop):
            members_s = await store.members_s()
            taken = await trio.to_thread.run_sync(loop.run, duration_s)
            members_s = await store.members_s() - members_s
    except CannotMeasureError as error:
        raise CannotMeasureError(f"{store.name}: {case.title}: {error}") from error
    amount = len(taken.each_s)
    if amount < 2:
        raise CannotMeasureError(f"{store.name}: {case.title}: no more than {amount} answers in {duration_s} s")
    return _Figures(
        per_s=amount / taken.total_s,
        p50_ms=1000 * median(taken.each_s),
        p99_ms=1000 * quantiles(taken.each_s, n=100)[-1],
        clients_share=taken.core_s / taken.total_s,
        members_us=1e6 * members_s / amount,
    )


@asynccontextmanager
async def _in_thread(loop: ClosedLoop) -> AsyncIterator[None]:
    """Enter and leave it without holding up the cluster's supervision."""
    await trio.to_thread.run_sync(loop.__enter__)
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(loop.__exit__)


async def _compact(store: _Store) -> None:
    """Forget what was superseded, on every member, before the next round."""
    statuses = await store.view.statuses()
    revision = max(status.revision for status in statuses.values() if status is not None)
    async with aclosing(store.client(await store.leader())) as client:
        body = _encode(CompactionRequest(revision, physical=True))
        answer = await client.request("POST", "/v3/kv/compaction", body=body, timeout_s=_READY_S)
    if answer.status != 200:
        raise CannotMeasureError(f"{store.name}: compaction: {answer.status} {answer.body[:200]!r}")


def _table(title: str, figures: Mapping[str, Sequence[_Figures]]) -> FigureTable:
    def middle(of: Callable[[_Figures], float], rounds: Sequence[_Figures], digits: int) -> float:
        return round(median(of(one) for one in rounds), digits)

    rows: list[list[str | float | int | None]] = [
        [
            case,
            middle(lambda one: one.p50_ms, rounds, 2),
            middle(lambda one: one.p99_ms, rounds, 2),
            middle(lambda one: one.members_us, rounds, 0),
            middle(lambda one: 100 * one.clients_share, rounds, 0),
        ]
        for case, rounds in figures.items()
    ]
    return FigureTable(
        title=title,
        note="Medians over the rounds. What the members took of a core is that of all together. The clients are one "
        "thread: near 100 % of a core they are what limits.",
        columns=["", "p50 ms", "p99 ms", "members, core µs", "clients, % of a core"],
        rows=rows,
    )


MEASURE = Measure(
    name="store-throughput",
    reference="the real etcd, asked through its JSON gateway, which costs it more than gRPC would",
    measure=_measure,
)
