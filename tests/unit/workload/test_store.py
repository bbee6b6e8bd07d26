"""Clients of the store: what they ask, that the same seed asks the same, and a whole run against three members."""

from __future__ import annotations

from collections import Counter
from itertools import count, pairwise
from pathlib import Path

import msgspec
import pytest

from ha.experiment.recording import Recording
from ha.experiment.run import Observed, execute
from ha.history import Event, Operation
from ha.history.jsonl import decode_operations
from ha.history.store import (
    Compact,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    StoreAnswer,
    StoreCall,
    StoreRequest,
    Txn,
)
from ha.spec import Experiment, Scenario, Topology, Workload
from ha.spec.load import load, resolve
from ha.workload.store_mind import TTL_S, StoreMind, everything
from ha.world import Random
from ha.world.sim import open_world, simulate

KEYS = ["store/0", "store/1", "store/2"]


def mind(seed: int = 1, keys: list[str] = KEYS) -> StoreMind:
    values = count()
    return StoreMind("store", 4, keys, Random(seed), lambda: f"v{next(values)}")


def done(request: StoreRequest, answer: StoreAnswer | None, at_s: float = 0.0, **more: object) -> Operation:
    call = StoreCall(member="etcd-1", request=request, answer=answer)
    operation = Operation(
        workload="store", client=4, type="write", key="k", invoked_s=at_s, completed_s=at_s, outcome="ok", store=call
    )
    return msgspec.structs.replace(operation, **more)


def some(of: type[StoreRequest], of_mind: StoreMind) -> StoreRequest:
    """The first request of a kind that a mind has."""
    return next(request for request in iter(lambda: of_mind.next(0.0), None) if isinstance(request, of))


def test_the_same_stream_asks_the_same() -> None:
    first, second, other = (mind(1), mind(1), mind(2))
    asked = [[of.next(0.0) for _ in range(200)] for of in (first, second, other)]
    assert asked[0] == asked[1] != asked[2]


def test_no_value_is_written_twice_and_every_kind_of_request_is_made() -> None:
    of = mind()
    values: list[str] = []
    kinds: Counter[type] = Counter()
    for n in range(2000):
        request = of.next(0.0)
        kinds[type(request)] += 1
        of.learn(done(request, StoreAnswer(n + 2, ttl_s=TTL_S, responses=[])))
        ops = [request, *request.success, *request.failure] if isinstance(request, Txn) else [request]
        values += [op.value for op in ops if isinstance(op, Put)]
    assert len(values) == len(set(values))
    assert set(kinds) == {*StoreRequest.__args__} - {LeaseKeepAlive}  # type: ignore[attr-defined]  # time stands still


def test_a_compaction_is_put_to_the_test_at_once() -> None:
    """The compacted revision is read, then the one before, then it is compacted again."""
    of = mind()
    of.learn(done(Compact(7), StoreAnswer(20)))
    whole = everything("store")
    asked = [of.next(0.0) for _ in range(3)]
    assert asked == [Range(whole.key, whole.range_end, 7), Range(whole.key, whole.range_end, 6), Compact(7)]


def test_the_first_lease_is_kept_and_renewed_until_it_is_gone() -> None:
    of = mind()
    grant = some(LeaseGrant, of)
    assert isinstance(grant, LeaseGrant)
    of.learn(done(grant, StoreAnswer(5, ttl_s=TTL_S), at_s=10.0))
    assert of.kept == grant.lease
    put = of.next(10.1)
    assert isinstance(put, Put)
    assert put.lease == grant.lease
    assert of.next(10.0 + TTL_S / 2) == LeaseKeepAlive(grant.lease)
    of.learn(done(LeaseKeepAlive(grant.lease), StoreAnswer(ttl_s=TTL_S), at_s=12.0))
    assert not isinstance(of.next(12.1), LeaseKeepAlive)
    gone = StoreCall(member="etcd-1", request=LeaseKeepAlive(grant.lease), refusal="lease-not-found")
    of.learn(done(LeaseKeepAlive(grant.lease), None, outcome="fail", store=gone))
    assert of.kept is None


def test_a_lease_of_unknown_outcome_is_not_used() -> None:
    of = mind()
    grant = some(LeaseGrant, of)
    of.learn(done(grant, None, outcome="info"))
    assert of.kept is None


def test_other_leases_are_left_or_revoked() -> None:
    of = mind()
    of.learn(done(some(LeaseGrant, of), StoreAnswer(5, ttl_s=TTL_S)))
    fates = Counter()
    for _ in range(50):
        grant = some(LeaseGrant, of)
        of.learn(done(grant, StoreAnswer(5, ttl_s=TTL_S)))
        assert isinstance(of.next(0.0), Put)
        fates[isinstance(of.next(0.0), LeaseRevoke)] += 1
    assert min(fates[True], fates[False]) > 5


def test_one_key_is_enough() -> None:
    of = mind(keys=["store/0"])
    for n in range(300):
        of.learn(done(of.next(0.0), StoreAnswer(n + 2, ttl_s=TTL_S)))


class Silent:
    def operation(self, operation: Operation) -> None:
        """Unheard."""

    def event(self, event: Event) -> None:
        """Unheard."""


def run(directory: Path, *, seed: int) -> Observed:
    """Six virtual seconds on etcd-3."""
    topology = load(resolve("etcd-3"))
    assert isinstance(topology, Topology)
    experiment = Experiment(
        name="e",
        claim="It works.",
        topologies=["etcd-3"],
        duration_s=6.0,
        workloads=[Workload(type="store", clients=6, rate_per_s=40.0, keys=4)],
        faults=[],
    )

    def world(*, nodes: list[str], directory: Path, seed: int):
        return open_world(nodes=nodes, seed=seed)

    async def main() -> Observed:
        with Recording(directory, Silent()) as recording:
            scenario = Scenario(name="s", topology=topology, experiment=experiment)
            return await execute(scenario, open_world=world, seed=seed, recording=recording)

    return simulate(main, seed=seed)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Observed, list[Operation]]:
    directory = tmp_path_factory.mktemp("run")
    observed = run(directory, seed=5)
    return observed, decode_operations((directory / "history.jsonl").read_bytes()).items


def test_an_undisturbed_store_answers_everything(history: tuple[Observed, list[Operation]]) -> None:
    observed, operations = history
    assert observed.not_recovered is None
    assert [o for o in operations if o.outcome == "info"] == []
    refused = {o.store.refusal for o in operations if o.store and o.outcome == "fail"}
    assert refused <= {"compacted", "lease-not-found"}
    assert {o.store.member for o in operations if o.store} == {"etcd-1", "etcd-2", "etcd-3"}


def test_what_is_left_in_the_end_is_read_from_every_member(history: tuple[Observed, list[Operation]]) -> None:
    """And what hung on leases that nobody renews is gone by then."""
    observed, _ = history
    answers = {o.store.member: o.store.answer for o in observed.final_reads if o.store and o.store.answer}
    assert sorted(answers) == ["etcd-1", "etcd-2", "etcd-3"]
    contents = [answer.kvs for answer in answers.values()]
    assert contents[0] == contents[1] == contents[2]
    assert len({kv.lease for kv in contents[0]} - {0}) <= 6


def test_a_client_has_one_operation_outstanding(history: tuple[Observed, list[Operation]]) -> None:
    _, operations = history
    for client in {o.client for o in operations}:
        own = sorted((o for o in operations if o.client == client), key=lambda o: o.invoked_s)
        for earlier, later in pairwise(own):
            assert earlier.completed_s is not None
            assert earlier.completed_s <= later.invoked_s


def test_the_same_seed_leaves_the_same_history(history: tuple[Observed, list[Operation]], tmp_path: Path) -> None:
    run(tmp_path, seed=5)
    assert decode_operations((tmp_path / "history.jsonl").read_bytes()).items == history[1]
