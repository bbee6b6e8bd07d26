from __future__ import annotations

from typing import Any

import pytest

from ha.check.series import availability_series, latency_series
from ha.check.summary import counts, watch_counts
from ha.history.result import OperationCounts, WatchCounts
from ha.history.store import Version
from ha.history.watch import WatchBegun, WatchedEvent, WatchEnded, WatchTold
from tests.unit.check.ops import op


def test_counts_are_by_group_with_latency_of_what_succeeded():
    operations = [op("read", "a", i, i + 0.001 * (i + 1)) for i in range(100)]
    operations += [op("cas", "a", 0, 5, "fail"), op("create", "b", 0, None, "info"), op("delete", "b", 0, 0.25)]
    made = counts(operations)
    assert made["write"] == OperationCounts(ok=1, fail=1, info=1, p50_ms=250, p99_ms=250, max_ms=250)
    assert made["read"].ok == 100
    assert made["read"].p50_ms == pytest.approx(50.5)
    assert made["read"].p99_ms == pytest.approx(99.01)
    assert made["read"].max_ms == pytest.approx(100)


def test_group_without_success_has_no_latency():
    assert counts([op("read", "a", 0, 1, "fail")]) == {
        "read": OperationCounts(ok=0, fail=1, info=0),
        "write": OperationCounts(ok=0, fail=0, info=0),
    }


def test_latency_belongs_to_the_slice_of_its_invocation():
    made = latency_series([op("read", "a", 0.05, 0.15), op("read", "a", 0.25, 0.27)], 0, 0.3, bucket_s=0.1)
    assert made.start_s == pytest.approx([0, 0.1, 0.2])
    assert made.percentiles_ms[50][0] == pytest.approx(100)
    assert made.percentiles_ms[50][1] is None
    assert made.percentiles_ms[100][2] == pytest.approx(20)


def test_answers_belong_to_the_slice_in_which_they_came():
    operations = [
        op("read", "a", 0.05, 0.15),
        op("read", "a", 0.1, 0.19, "fail"),
        op("read", "a", 0.05, None, "info"),
        op("read", "a", 5, 6),
    ]
    made = availability_series(operations, 0, 0.2, bucket_s=0.1)
    assert (made.ok, made.fail, made.info) == ([0, 1], [0, 1], [1, 0])


def test_slices_fill_the_interval_whatever_binary_fractions_say():
    assert len(availability_series([], 0.1, 0.4, bucket_s=0.1).start_s) == 3
    assert len(availability_series([], 0.0, 0.35, bucket_s=0.1).start_s) == 4


def test_slice_without_length_is_refused():
    with pytest.raises(ValueError, match="slice of 0 s"):
        latency_series([], 0, 1, bucket_s=0)


def test_watchers_count_where_they_watch() -> None:
    def who(client: int, number: int = 0) -> dict[str, Any]:
        return {"workload": "watch", "client": client, "number": number, "at_s": 1.0}

    event = WatchedEvent("PUT", Version("a", "v", 5, 5, 1))
    records = [
        WatchBegun(**who(1), server="API", key="a", revision=4),
        WatchEnded(**who(2), reason="lost"),
        WatchBegun(**who(0), server="etcd-1", key="a", revision=4),
        WatchTold(**who(0), revision=5, events=[event, event]),
        WatchTold(**who(0), revision=9),
        WatchEnded(**who(0), reason="compacted", compact_revision=12),
        WatchBegun(**who(0, 1), server="etcd-1", key="a", revision=12, resumed=True),
        WatchEnded(**who(0, 1), reason="lost"),
    ]
    assert list(watch_counts(records)) == ["etcd-1", "API"]
    assert watch_counts(records)["etcd-1"] == WatchCounts(
        watchers=1, events=2, bookmarks=1, resumed=1, lost=1, compacted=1
    )
