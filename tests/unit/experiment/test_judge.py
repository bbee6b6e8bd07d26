"""From a recording to a verdict: what a broken store, a fault without effect or a missing witness make of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from ha.cluster import plan
from ha.experiment.judge import fault_records, judge
from ha.experiment.recording import Recording
from ha.experiment.run import Observed
from ha.history import (
    CacheSample,
    ComponentExit,
    DeploymentSample,
    Event,
    FaultEvent,
    MemberHash,
    MemberSample,
    Operation,
)
from ha.history.jsonl import decode_events, decode_operations
from ha.history.result import Result
from ha.spec import Bound, Expect, Experiment, Fault, OperationBounds, Scenario, Target, Topology, Workload
from ha.spec.load import load, resolve
from tests.unit.check.ops import create, read
from tests.unit.check.store_ops import get, kv, put

NODE = "control-plane-1"
FAULT = Fault(fault="kill", target=Target(select=NODE), at_s=2, for_s=1)
LOAD = (1.0, 9.0)


class Silent:
    """Nobody listens."""

    def operation(self, operation: Operation) -> None:
        """Unheard."""

    def event(self, event: Event) -> None:
        """Unheard."""


def fault(action: str, at_s: float, index: int = 0, *, error: str | None = None) -> FaultEvent:
    return FaultEvent(
        at_s=at_s,
        index=index,
        action=action,
        fault="kill",
        target=NODE,
        nodes=[NODE],
        attested=error is None,
        evidence={NODE: {"exited": {"etcd": 7}}},
        error=error,
    )


HISTORY = [
    create(f"create-0-{i}", f"create-0-{i}", 10 + i, 1 + i / 10, 1.01 + i / 10, workload="create") for i in range(70)
]
FINAL = [read(o.key, o.value, o.revision, 10.0, 10.1) for o in HISTORY]
EVENTS = [fault("inject", 3.0), fault("undo", 4.0)]
LOOKS: list[Event] = [
    MemberHash(at_s=11.0, member=NODE, revision=80, hash=7),
    CacheSample(at_s=11.0, node=NODE, objects=len(HISTORY)),
]


@pytest.fixture
def recordings(tmp_path: Path) -> Iterator[Callable[[], Recording]]:
    """A maker, since a recording begins with trio's clock."""
    made: list[Recording] = []

    def make() -> Recording:
        made.append(Recording(tmp_path, Silent()))
        return made[0]

    yield make
    for recording in made:
        recording.__exit__(None, None, None)


def verdict_on(
    recording: Recording,
    *,
    operations: list[Operation] = HISTORY,
    final_reads: list[Operation] = FINAL,
    events: Sequence[Event] = EVENTS,
    not_recovered: str | None = None,
    faults: list[Fault] | None = None,
    looks: Sequence[Event] | None = None,
) -> Result:
    topology = load(resolve("one-control-plane"))
    assert isinstance(topology, Topology)
    nodes = {"control-plane-1": "127.0.0.1", "worker-1": "127.0.0.2", "worker-2": "127.0.0.3"}
    experiment = Experiment(
        name="e",
        claim="It holds.",
        topologies=["one-control-plane"],
        duration_s=LOAD[1] - LOAD[0],
        workloads=[Workload(type="create")],
        faults=[FAULT] if faults is None else faults,
        expect=Expect(unavailability={"write": OperationBounds(longest=Bound(at_most_s=3))}),
    )
    for operation in [*operations, *final_reads]:
        recording.operation(operation)
    for event in [*events, *(LOOKS if looks is None else looks)]:
        recording.event(event)
    observed = Observed(
        plan=plan(topology, nodes, cluster_token="t"),
        ready_s=0.5,
        load_start_s=LOAD[0],
        load_end_s=LOAD[1],
        not_recovered=not_recovered,
        final_reads=final_reads,
        arrivals={},
        memory_bytes={"control-plane-1/etcd": 5, "worker-1/kubelet": 7},
    )
    scenario = Scenario(name="s", topology=topology, experiment=experiment)
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    run = judge(scenario, observed, recording, seed=7, started=started, world="real", repeat="ha run x --seed 7")
    assert run.events == sorted(run.events, key=lambda event: event.at_s)
    return run.result


async def test_a_run_that_kept_everything_passes(recordings: Callable[[], Recording]) -> None:
    result = verdict_on(recordings())
    assert (result.verdict, result.checks.linearizable, result.checks.lost_writes) == ("pass", True, 0)
    assert (result.started, result.memory_total_bytes, result.timings) == ("2026-01-02T03:04:05Z", 12, "fast")
    assert result.operations["write"].ok == len(HISTORY)


async def test_figures_are_those_of_the_load(recordings: Callable[[], Recording]) -> None:
    """Setting up and reading back are no load."""
    before = create("register-0", "register-0-0", 5, 0.1, 0.2)
    final = [*FINAL, read("register-0", "register-0-0", 5, 10, 10.1)]
    result = verdict_on(recordings(), operations=[before, *HISTORY], final_reads=final)
    assert result.verdict == "pass"
    assert (result.operations["write"].ok, result.operations["read"].ok) == (len(HISTORY), 0)
    assert "read" not in result.unavailability


async def test_a_lost_write_fails_and_is_named(recordings: Callable[[], Recording]) -> None:
    gone = [read(FINAL[3].key, None, 0, 10, 10.1), *FINAL[:3], *FINAL[4:]]
    result = verdict_on(recordings(), final_reads=gone)
    assert (result.verdict, result.checks.lost_writes) == ("fail", 1)
    assert any("create-0-3" in line for line in result.checks.explanation)


async def test_a_cluster_that_did_not_come_back_fails(recordings: Callable[[], Recording]) -> None:
    result = verdict_on(recordings(), final_reads=[], not_recovered="not ready after 60 s: Node worker-1 is not Ready")
    assert result.verdict == "fail"
    assert "the whole cluster is ready again, measured not ready after 60 s" in result.reason


async def test_a_crash_that_no_fault_explains_fails_and_is_named(recordings: Callable[[], Recording]) -> None:
    crash = ComponentExit(at_s=7.0, node="control-plane-1", process="etcd", pid=7, code=1, signal=None)
    result = verdict_on(recordings(), events=[*EVENTS, crash])
    assert result.verdict == "fail"
    assert "etcd on control-plane-1" in result.reason


STORE = [put("store/0", "v", 5, 1.0, 1.1), put("store/0", "w", 6, 1.2, 1.3)]


async def test_an_answer_of_the_store_that_its_model_does_not_explain_convicts(
    recordings: Callable[[], Recording],
) -> None:
    final = get("store/0", kv("store/0", "v", 5), 6, 10.0, 10.1)
    result = verdict_on(recordings(), operations=[*HISTORY, *STORE], final_reads=[*FINAL, final])
    assert (result.verdict, result.convicted_by) == ("fail", ["durability", "store-model"])
    assert "1 acknowledged write lost: store/0: acknowledged, then gone, revision 5 is back" in result.reason
    assert any("put store/0 = 'w'" in line for line in result.checks.explanation)


@pytest.mark.parametrize("looked", [True, False])
async def test_a_store_that_nobody_read_in_the_end_is_inconclusive(
    recordings: Callable[[], Recording],
    looked: bool,  # noqa: FBT001
) -> None:
    final = [get("store/0", kv("store/0", "w", 6, 5, 2), 6, 10.0, 10.1)] if looked else []
    result = verdict_on(recordings(), operations=[*HISTORY, *STORE], final_reads=[*FINAL, *final])
    assert (result.verdict, result.convicted_by) == ("pass" if looked else "inconclusive", [])


async def test_a_key_of_the_store_that_no_final_read_covers_is_not_taken_for_kept(
    recordings: Callable[[], Recording],
) -> None:
    """One workload was read back, and another one was not."""
    final = get("store/0", kv("store/0", "w", 6, 5, 2), 7, 10.0, 10.1)
    operations = [*HISTORY, *STORE, put("put/0", "x", 7, 1.4, 1.5)]
    result = verdict_on(recordings(), operations=operations, final_reads=[*FINAL, final])
    assert (result.verdict, result.convicted_by) == ("inconclusive", [])
    assert result.reason == "No final read covers 1 key of acknowledged writes, put/0 first."


def led(member: str) -> MemberSample:
    return MemberSample(at_s=2.0, member=member, node=member, reachable=True, term=2, leader=member)


@pytest.mark.parametrize(
    ("looks", "by"),
    [
        ([led("a"), led("b"), *LOOKS], ["leaders"]),
        ([MemberHash(at_s=12.0, member="etcd-9", revision=80, hash=8), *LOOKS], ["convergence"]),
        ([*LOOKS, CacheSample(at_s=12.0, node=NODE, objects=70, behind={"k": (3, 4)})], ["watch-cache"]),
        ([*LOOKS, DeploymentSample(at_s=12.0, name="web", replicas=4, ready=3)], ["pods"]),
    ],
)
async def test_every_invariant_convicts(recordings: Callable[[], Recording], looks: list[Event], by: list[str]) -> None:
    result = verdict_on(recordings(), looks=looks)
    assert (result.verdict, result.convicted_by) == ("fail", by)
    assert any(line.startswith(f"{by[0]}: ") for line in result.checks.explanation)


@pytest.mark.parametrize(
    "looks", [LOOKS[:1], LOOKS[1:], [*LOOKS, DeploymentSample(at_s=12.0, name="", replicas=0, ready=0, error="e")]]
)
async def test_what_nobody_looked_at_is_inconclusive(recordings: Callable[[], Recording], looks: list[Event]) -> None:
    result = verdict_on(recordings(), looks=looks)
    assert (result.verdict, result.convicted_by) == ("inconclusive", [])


async def test_missing_final_reads_are_inconclusive(recordings: Callable[[], Recording]) -> None:
    result = verdict_on(recordings(), final_reads=FINAL[:-2])
    assert (result.verdict, "2 keys" in result.reason) == ("inconclusive", True)


@pytest.mark.parametrize(
    "events",
    [
        [fault("inject", 3.0, error="no effect"), fault("undo", 4.0)],
        [fault("inject", 3.0), fault("undo", 4.0, error="did not boot")],
    ],
    ids=["inject", "undo"],
)
async def test_what_nothing_attests_is_inconclusive(
    recordings: Callable[[], Recording], events: list[FaultEvent]
) -> None:
    result = verdict_on(recordings(), events=events)
    assert (result.verdict, result.faults[0].attested) == ("inconclusive", False)


async def test_a_planned_fault_that_is_missing_is_inconclusive(recordings: Callable[[], Recording]) -> None:
    result = verdict_on(recordings(), faults=[FAULT, FAULT])
    assert (result.verdict, result.reason) == ("inconclusive", "Only 1 of 2 faults were injected.")


async def test_a_load_that_ends_with_the_fault_breaks_the_bound(recordings: Callable[[], Recording]) -> None:
    """Clients that are answered no more are unavailability until the end of the load."""
    stopped = [o for o in HISTORY if o.invoked_s < 3.05]
    hanging = Operation(workload="create", client=1, type="create", key="k", value="k", invoked_s=3.1, outcome="info")
    final = [read(o.key, o.value, o.revision, 10.0, 10.1) for o in stopped]
    result = verdict_on(recordings(), operations=[*stopped, hanging], final_reads=final)
    assert result.verdict == "fail"
    assert result.unavailability["write"].longest_s == pytest.approx(5.9)


async def test_a_load_that_just_stopped_is_inconclusive(recordings: Callable[[], Recording]) -> None:
    """Nobody asks, so nobody is refused: no outage is measured, and every bound seems to hold."""
    stopped = [o for o in HISTORY if o.invoked_s < 3.05]
    final = [read(o.key, o.value, o.revision, 10.0, 10.1) for o in stopped]
    result = verdict_on(recordings(), operations=stopped, final_reads=final)
    assert result.verdict == "inconclusive"
    assert "workload create asked nothing for 6.0 s, from 3.0 s on" in result.reason


async def test_an_experiment_without_faults_claims_that_the_cluster_stays_ready(
    recordings: Callable[[], Recording],
) -> None:
    result = verdict_on(recordings(), events=[], faults=[])
    assert (result.verdict, result.claims[0].expectation) == ("pass", "the cluster stays ready")


def test_an_undo_belongs_to_its_injection() -> None:
    events = [fault("inject", 3.0), fault("inject", 4.0, 1), fault("undo", 5.0, 1), fault("undo", 6.0)]
    records = fault_records(events)
    assert [(r.index, r.injected_s, r.undone_s) for r in records] == [(0, 3.0, 6.0), (1, 4.0, 5.0)]


async def test_a_recording_that_is_cut_off_leaves_its_history(tmp_path: Path) -> None:
    with suppress(trio.TooSlowError), Recording(tmp_path, Silent()) as recording:
        recording.operation(HISTORY[0])
        recording.event(EVENTS[0])
        assert decode_events((tmp_path / "events.jsonl").read_bytes()).items == [EVENTS[0]]
        raise trio.TooSlowError
    assert decode_operations((tmp_path / "history.jsonl").read_bytes()).items == [HISTORY[0]]
