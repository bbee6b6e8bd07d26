"""`ha.etcd.watch` by itself: who is told what, and what a slow reader costs."""

from ha.etcd import watch
from ha.etcd.api import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    TxnRequest,
    WatchBatch,
    WatchCreateRequest,
    request_ops,
)
from ha.etcd.commands import Request, encode
from ha.etcd.machine import EtcdMachine
from ha.etcd.watch import Compacted, Watcher, WatchHub


class Watched:
    def __init__(self) -> None:
        self.machine = EtcdMachine()
        self.hub = WatchHub(self.machine)
        self.wakes = 0

    def do(self, *requests: Request) -> None:
        for request in requests:
            self.machine.apply(1, encode(request))

    def put(self, *keys: bytes) -> None:
        self.do(*(PutRequest(key) for key in keys))

    def add(self, key: bytes, range_end: bytes = b"", **more: object) -> Watcher:
        return self.hub.add(WatchCreateRequest(key, range_end, **more), self.wake)  # type: ignore[arg-type]

    def wake(self) -> None:
        self.wakes += 1


def revisions(batch: WatchBatch | Compacted | None) -> list[int]:
    assert isinstance(batch, WatchBatch)
    return [event.kv.mod_revision for event in batch.events]


def taken(watcher: Watcher) -> list[int]:
    """Revisions of everything that there is to take."""
    found: list[int] = []
    while (batch := watcher.take()) is not None or not watcher.caught_up:
        if batch is not None:
            found += revisions(batch)
    return found


def test_a_watch_from_now_on_hears_only_what_follows() -> None:
    watched = Watched()
    watched.put(b"a")
    watcher = watched.add(b"a")
    assert watcher.take() is None
    watched.put(b"b", b"a")
    assert watched.wakes == 1
    assert revisions(watcher.take()) == [4]


def test_a_watch_from_the_past_reads_the_log_and_then_what_is_committed() -> None:
    watched = Watched()
    watched.put(b"a", b"b", b"a")
    watcher = watched.add(b"a", start_revision=2)
    assert not watcher.caught_up
    assert revisions(watcher.take()) == [2, 4]
    assert watcher.caught_up
    watched.put(b"a")
    assert revisions(watcher.take()) == [5]


def test_a_watch_from_the_future_hears_nothing_before() -> None:
    watched = Watched()
    watcher = watched.add(b"a", start_revision=4)
    watched.put(b"a", b"a")
    assert (watched.wakes, watcher.take()) == (0, None)
    watched.put(b"a")
    assert revisions(watcher.take()) == [4]


def test_a_slow_reader_costs_a_bounded_buffer_and_misses_nothing() -> None:
    watched = Watched()
    watcher = watched.add(b"a", b"\0")
    count = 3 * watch.BUFFERED_EVENTS_MAX
    watched.put(*[b"a"] * count)
    first = revisions(watcher.take())
    assert len(first) == watch.BUFFERED_EVENTS_MAX
    assert not watcher.caught_up
    assert first + taken(watcher) == list(range(2, count + 2))
    watched.put(b"a")
    assert taken(watcher) == [count + 2]


def test_a_revision_is_never_split_over_batches() -> None:
    watched = Watched()
    watcher = watched.add(b"a", b"\0")
    keys = [b"k%d" % i for i in range(100)]
    for _ in range(15):
        watched.do(TxnRequest(success=request_ops([PutRequest(key) for key in keys])))
    seen: list[int] = []
    while (batch := watcher.take()) is not None or not watcher.caught_up:
        if batch is not None:
            batch_revisions = revisions(batch)
            assert all(batch_revisions.count(revision) == 100 for revision in batch_revisions)
            seen += batch_revisions
    assert seen == sorted(seen)
    assert len(seen) == 1500


def test_catching_up_is_done_in_bounded_steps_of_which_some_find_nothing() -> None:
    watched = Watched()
    watched.put(*[b"other"] * (2 * watch.CATCH_UP_EVENTS), b"a")
    watcher = watched.add(b"a", start_revision=2)
    assert (watcher.take(), watcher.take(), watcher.caught_up) == (None, None, False)
    assert revisions(watcher.take()) == [2 * watch.CATCH_UP_EVENTS + 2]
    assert watcher.caught_up


def test_a_reader_that_compaction_overtakes_is_told_so() -> None:
    watched = Watched()
    watched.put(b"a", b"a", b"a")
    watcher = watched.add(b"a", start_revision=2)
    watched.do(CompactionRequest(4))
    assert watcher.take() == Compacted(4)


def test_a_buffered_event_survives_compaction() -> None:
    watched = Watched()
    watcher = watched.add(b"a")
    watched.put(b"a", b"a", b"a")
    watched.do(CompactionRequest(4))
    assert revisions(watcher.take()) == [2, 3, 4]


def test_filters_leave_out_puts_or_deletes() -> None:
    watched = Watched()
    no_put, no_delete = watched.add(b"a", filters=["NOPUT"]), watched.add(b"a", filters=["NODELETE"])
    watched.do(PutRequest(b"a"), DeleteRangeRequest(b"a"))
    assert (taken(no_put), taken(no_delete)) == ([3], [2])


def test_previous_versions_come_when_asked_for() -> None:
    watched = Watched()
    with_previous, without = watched.add(b"a", prev_kv=True), watched.add(b"a")
    watched.do(PutRequest(b"a", b"1"), PutRequest(b"a", b"2"), DeleteRangeRequest(b"a"))
    batch = with_previous.take()
    assert isinstance(batch, WatchBatch)
    assert [event.prev_kv.value if event.prev_kv else None for event in batch.events] == [None, b"1", b"2"]
    assert [event.type for event in batch.events] == ["PUT", "PUT", "DELETE"]
    batch = without.take()
    assert isinstance(batch, WatchBatch)
    assert all(event.prev_kv is None for event in batch.events)


def test_after_a_snapshot_everyone_catches_up_without_a_gap() -> None:
    ahead, watched = Watched(), Watched()
    ahead.put(*[b"a"] * 9)
    watched.put(b"a", b"a")
    buffered, drained = watched.add(b"a"), watched.add(b"a", b"\0")
    watched.put(b"a")
    assert revisions(drained.take()) == [4]
    watched.machine.restore(ahead.machine.snapshot())
    assert taken(buffered) == [4, 5, 6, 7, 8, 9, 10]
    assert taken(drained) == [5, 6, 7, 8, 9, 10]


def test_a_snapshot_that_is_compacted_beyond_a_reader_ends_its_watch() -> None:
    ahead, watched = Watched(), Watched()
    ahead.put(*[b"a"] * 9)
    ahead.do(CompactionRequest(8))
    watched.put(b"a", b"a")
    watcher = watched.add(b"a")
    watched.machine.restore(ahead.machine.snapshot())
    assert watcher.take() == Compacted(8)


def test_a_removed_watch_is_told_nothing_more() -> None:
    watched = Watched()
    one, other = watched.add(b"a"), watched.add(b"a", b"\0")
    assert len(watched.hub) == 2
    watched.hub.remove(one)
    watched.hub.remove(other)
    watched.put(b"a")
    assert (len(watched.hub), watched.wakes) == (0, 0)


def test_a_watch_from_the_future_hears_of_no_past_when_a_snapshot_ends_before_it() -> None:
    """A member that is behind is asked to go on where another one was, and then catches up in two steps."""
    ahead, behind = Watched(), Watched()
    ahead.put(b"a", b"b")
    watcher = behind.add(b"a", start_revision=6)
    behind.machine.restore(ahead.machine.snapshot())
    assert taken(watcher) == []
    behind.put(b"a", b"a", b"a")
    assert taken(watcher) == [6]
