"""What holders of locks ask: they hold a lock for as long as they may, fence what they do, and let go when in doubt."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

from ha.experiment.simulation import run_scenario
from ha.history import Operation
from ha.history.store import Delete, LeaseGrant, LeaseKeepAlive, Put, StoreAnswer, StoreCall, Txn
from ha.spec import Experiment, Fault, Scenario, Target, Topology, Workload
from ha.spec.load import load, resolve
from ha.workload.lock_mind import LockMind
from ha.workload.store_mind import TTL_S
from ha.world import Random

TAKEN = StoreAnswer(7, succeeded=True, responses=[StoreAnswer()])
NOT_TAKEN = StoreAnswer(7, responses=[StoreAnswer()])


def mind(seed: int = 1) -> LockMind:
    values = count()
    return LockMind(["lock/0", "lock/1"], Random(seed), lambda: f"v{next(values)}")


def tell(of: LockMind, at_s: float, answer: StoreAnswer | None, **more: Any) -> Any:
    """Let it ask, and answer; what it asked."""
    request = of.next(at_s)
    call = StoreCall(member="etcd-1", request=request, answer=answer, refusal=more.pop("refusal", None))
    fields: Any = {"type": "txn", "outcome": "info" if answer is None else "ok", **more}
    of.learn(Operation(workload="lock", client=0, key="k", invoked_s=at_s, completed_s=at_s, store=call, **fields))
    return request


def holding(seed: int = 1) -> LockMind:
    of = mind(seed)
    assert isinstance(tell(of, 0.0, StoreAnswer(1, ttl_s=TTL_S)), LeaseGrant)
    assert isinstance(tell(of, 0.1, TAKEN), Txn)
    assert of.token == 7
    return of


def test_a_lock_is_taken_with_a_lease_if_it_is_not_there() -> None:
    of = mind()
    grant = tell(of, 0.0, StoreAnswer(1, ttl_s=TTL_S))
    taking = tell(of, 0.1, NOT_TAKEN)
    assert taking.compare[0].operand == 0
    assert (taking.success[0].key, taking.success[0].lease) == (taking.compare[0].key, grant.lease)
    assert of.token is None


def test_what_a_holder_writes_is_fenced_with_its_token() -> None:
    of = holding()
    write = of.next(0.2)
    assert isinstance(write, Txn)
    assert (write.compare[0].target, write.compare[0].operand) == ("create", 7)
    assert isinstance(write.success[0], Put)
    assert write.success[0].key == f"{write.compare[0].key}/guarded"


def test_its_lease_is_renewed_in_time() -> None:
    of = holding()
    assert isinstance(tell(of, TTL_S / 3 + 0.1, StoreAnswer(ttl_s=TTL_S)), LeaseKeepAlive)
    assert isinstance(of.next(2 * TTL_S / 3), Txn), "counted from when it was asked for"
    assert isinstance(of.next(2 * TTL_S / 3 + 0.2), LeaseKeepAlive)


def test_it_lets_go_when_its_lease_may_have_run_out() -> None:
    of = holding()
    assert isinstance(tell(of, TTL_S / 2, None), LeaseKeepAlive)
    assert of.token == 7, "one that is not answered may be asked for again"
    assert isinstance(of.next(float(TTL_S)), LeaseGrant)
    assert of.token is None


def test_it_lets_go_when_it_was_told_or_does_not_know() -> None:
    denied = holding()
    tell(denied, TTL_S / 2, None, refusal="lease-not-found", outcome="fail")
    assert isinstance(denied.next(TTL_S / 2), LeaseGrant)
    superseded = holding()
    tell(superseded, 0.2, NOT_TAKEN)
    assert superseded.token is None
    unknown = mind()
    tell(unknown, 0.0, StoreAnswer(1, ttl_s=TTL_S))
    tell(unknown, 0.1, None)
    assert isinstance(unknown.next(0.2), LeaseGrant)


def test_it_gives_locks_up_in_three_ways() -> None:
    ways: Counter[str] = Counter()
    for seed in range(40):
        of, request = holding(seed), None
        while of.token is not None:
            request = tell(of, 0.2, TAKEN)
        assert request is not None
        ways[type(request).__name__] += 1
        assert not isinstance(request, Txn) or isinstance(request.success[0], Delete)
    assert ways.keys() == {"Txn", "LeaseRevoke", "LeaseGrant"}
    assert min(ways.values()) >= 3


def test_no_lock_is_held_by_two_on_a_store_that_loses_its_leader() -> None:
    shape = load(resolve("etcd-3"))
    assert isinstance(shape, Topology)
    experiment = Experiment(
        name="e",
        claim="It works.",
        topologies=["etcd-3"],
        duration_s=9.0,
        workloads=[Workload(type="lock", clients=6, rate_per_s=60.0, keys=2)],
        faults=[Fault(fault="kill", target=Target(select="etcd-leader"), at_s=3.0, for_s=2.0)],
    )
    run, _ = run_scenario(Scenario(name="s", topology=shape, experiment=experiment), seed=3)
    assert run.result.verdict == "pass", run.result.reason
    assert [claim.held for claim in run.result.claims if claim.checker == "locks"] == [True]
    taken = [
        o
        for o in run.operations
        if o.store and isinstance(o.store.request, Txn) and o.store.request.compare[0].operand == 0
    ]
    assert sum(bool(o.store and o.store.answer and o.store.answer.succeeded) for o in taken) > 4
