"""Watchers on a simulated store and a simulated cluster: what they write down, and that they resume."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from ha.experiment.simulation import run_scenario
from ha.history.jsonl import decode_watches
from ha.history.result import Run
from ha.history.watch import WatchBegun, WatchEnded, WatchRecord, WatchTold
from ha.spec import Experiment, Fault, Scenario, Target, Topology, Workload
from ha.spec.load import load, resolve


def run(directory: Path, topology: str, writers: Workload, fault: Fault) -> tuple[Run, list[WatchRecord]]:
    shape = load(resolve(topology))
    assert isinstance(shape, Topology)
    experiment = Experiment(
        name="e",
        claim="It works.",
        topologies=[topology],
        duration_s=8.0,
        workloads=[writers, Workload(type="watch", clients=10)],
        faults=[fault],
    )
    done, _ = run_scenario(Scenario(name="s", topology=shape, experiment=experiment), seed=3, directory=directory)
    return done, decode_watches((directory / "watches.jsonl").read_bytes()).items


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[WatchRecord]]:
    fault = Fault(fault="restart", target=Target(select="etcd-2", component="etcd"), at_s=3.0)
    writers = Workload(type="store", clients=3, rate_per_s=30.0, keys=4)
    return run(tmp_path_factory.mktemp("run"), "etcd-3", writers, fault)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[WatchRecord]]:
    fault = Fault(fault="restart", target=Target(select="control-plane-1", component="kube-apiserver"), at_s=3.0)
    writers = Workload(type="register", clients=3, rate_per_s=30.0, keys=4)
    return run(tmp_path_factory.mktemp("run"), "stacked-3", writers, fault)


def by_watcher(records: list[WatchRecord]) -> dict[int, list[WatchRecord]]:
    found: dict[int, list[WatchRecord]] = defaultdict(list)
    for record in records:
        found[record.client].append(record)
    return found


def test_a_disturbed_store_keeps_its_promises_to_watchers(store: tuple[Run, list[WatchRecord]]) -> None:
    result = store[0].result
    assert result.verdict == "pass", result.reason
    assert [claim.held for claim in result.claims if claim.checker == "watch-guarantees"] == [True]
    assert list(result.watches) == ["etcd-1", "etcd-2", "etcd-3", "any member"]
    assert result.watches["etcd-2"].lost >= 2


def test_a_disturbed_cluster_keeps_its_promises_to_watchers(cluster: tuple[Run, list[WatchRecord]]) -> None:
    result = cluster[0].result
    assert result.verdict == "pass", result.reason
    assert [claim.held for claim in result.claims if claim.checker == "watch-guarantees"] == [True]
    assert set(result.watches) == {"control-plane-1", "control-plane-2", "control-plane-3", "any member", "API"}
    assert result.watches["API"].bookmarks >= 2


@pytest.mark.parametrize("world", ["store", "cluster"])
def test_a_watcher_resumes_where_it_was(world: str, request: pytest.FixtureRequest) -> None:
    for mine in by_watcher(request.getfixturevalue(world)[1]).values():
        position = None
        for record in mine:
            if isinstance(record, WatchBegun):
                assert record.resumed == (position is not None)
                assert position is None or record.revision == position + 1
                position = record.revision - 1
            elif isinstance(record, WatchTold):
                assert position is not None
                position = max(position, record.revision)
            elif record.reason == "compacted":
                position = record.compact_revision


def test_every_watcher_is_followed_to_the_end(store: tuple[Run, list[WatchRecord]]) -> None:
    for mine in by_watcher(store[1]).values():
        last = mine[-1]
        assert isinstance(last, WatchEnded)
        assert (last.reason, last.owed > 100) == ("stopped", True)


def test_they_look_at_different_things(store: tuple[Run, list[WatchRecord]]) -> None:
    begun = [record for record in store[1] if isinstance(record, WatchBegun)]
    assert {tuple(one.filters) for one in begun} == {(), ("NODELETE",), ("NOPUT",)}
    assert {one.prev_kv for one in begun} == {True, False}
    assert {one.range_end for one in begun} == {"", "{"}


def test_a_watcher_that_comes_too_late_lists_again(tmp_path: Path) -> None:
    """An API server knows nothing from before it started: whoever was away for longer is told so."""
    fault = Fault(fault="kill", target=Target(select="etcd-leader"), at_s=3.0, for_s=1.0)
    done, records = run(tmp_path, "single-node", Workload(type="register", clients=3, rate_per_s=30.0, keys=4), fault)
    assert done.result.verdict == "pass", done.result.reason
    late = [one for one in records if isinstance(one, WatchEnded) and one.reason == "compacted"]
    assert late
    for one in late:
        mine = by_watcher(records)[one.client]
        again = next(it for it in mine[mine.index(one) :] if isinstance(it, WatchBegun))
        assert not again.resumed
        assert again.state
