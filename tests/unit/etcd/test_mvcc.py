import pytest

from ha.etcd.api import KeyValue, RangeRequest, RangeResult
from ha.etcd.errors import COMPACTED, FUTURE_REVISION
from ha.etcd.mvcc import Store, in_range


def filled(*changes: tuple[bytes, bytes | None]) -> Store:
    """A store after changes of one revision each; None deletes."""
    store = Store()
    for key, value in changes:
        if value is None:
            store.delete(key)
        else:
            store.put(key, value)
        store.commit()
    return store


def test_an_empty_store_is_at_revision_one() -> None:
    assert Store().revision == 1
    assert Store().range(RangeRequest(b"a")) == RangeResult([], more=False, count=0, revision=1)


def test_changes_of_one_commit_share_a_revision() -> None:
    store = Store()
    store.put(b"a", b"1")
    store.put(b"b", b"2")
    assert [kv.mod_revision for kv in store.commit()] == [2, 2]
    assert store.revision == 2


def test_a_commit_without_changes_makes_no_revision() -> None:
    store = filled((b"a", b"1"))
    store.delete(b"nothing")
    assert store.commit() == []
    assert store.revision == 2


def test_a_key_that_was_deleted_begins_anew() -> None:
    store = filled((b"a", b"1"), (b"a", b"2"), (b"a", None), (b"a", b"3"))
    assert store.latest(b"a") == KeyValue(b"a", b"3", create_revision=5, mod_revision=5, version=1)
    assert store.at(b"a", 4) is None
    assert store.at(b"a", 3) == KeyValue(b"a", b"2", create_revision=2, mod_revision=3, version=2)


def test_a_key_put_and_deleted_in_one_revision_is_gone_after_it() -> None:
    store = filled((b"a", b"1"))
    store.put(b"a", b"2")
    store.delete(b"a")
    assert [kv.version for kv in store.commit()] == [2, 0]
    assert store.at(b"a", 3) is None
    assert store.at(b"a", 2) is not None


def test_uncommitted_changes_are_seen_and_count_as_the_next_revision() -> None:
    store = filled((b"a", b"1"))
    store.put(b"b", b"2")
    answer = store.range(RangeRequest(b"\0", b"\0"))
    assert isinstance(answer, RangeResult)
    assert (answer.count, answer.revision) == (2, 3)
    assert store.live(b"\0", b"\0", 2) == [KeyValue(b"a", b"1", 2, 2, 1)]


@pytest.mark.parametrize(
    ("key", "start", "range_end", "inside"),
    [
        (b"a", b"a", b"", True),
        (b"aa", b"a", b"", False),
        (b"a", b"a", b"b", True),
        (b"b", b"a", b"b", False),
        (b"zz", b"a", b"\0", True),
        (b"A", b"a", b"\0", False),
    ],
)
def test_ranges_are_half_open_and_a_zero_byte_means_to_the_end(
    key: bytes, start: bytes, range_end: bytes, *, inside: bool
) -> None:
    assert in_range(key, start, range_end) is inside
    store = filled((key, b"1"))
    assert bool(store.live(start, range_end)) is inside


def test_compaction_keeps_the_latest_version_and_forgets_older_ones() -> None:
    store = filled((b"a", b"1"), (b"a", b"2"), (b"a", b"3"))
    assert store.compact(3) is None
    assert store.range(RangeRequest(b"a", revision=2)) == COMPACTED
    assert store.at(b"a", 3) == KeyValue(b"a", b"2", 2, 3, 2)
    assert store.size_bytes == 2 * len(b"a2")


def test_compaction_forgets_deleted_keys_entirely() -> None:
    store = filled((b"a", b"1"), (b"a", None), (b"b", b"1"))
    assert store.compact(4) is None
    assert store.keys_total == 1


def test_a_key_can_be_created_again_after_its_tombstone_was_compacted() -> None:
    store = filled((b"a", b"1"), (b"a", None))
    assert store.compact(3) is None
    store.put(b"a", b"2")
    store.commit()
    assert store.compact(4) is None
    assert store.latest(b"a") == KeyValue(b"a", b"2", 4, 4, 1)


def test_compaction_refuses_the_past_and_the_future() -> None:
    store = filled((b"a", b"1"), (b"a", b"2"))
    assert store.compact(4) == FUTURE_REVISION
    assert store.compact(2) is None
    assert store.compact(2) == COMPACTED


def test_changes_of_the_compacted_revision_can_still_be_read() -> None:
    store = filled((b"a", b"1"), (b"a", None), (b"b", b"1"))
    store.compact(3)
    changes, following = store.changes_since(3, limit=100)
    assert [(kv.key, kv.mod_revision, kv.version) for kv in changes] == [(b"a", 3, 0), (b"b", 4, 1)]
    assert following == 5


def test_changes_come_in_whole_revisions() -> None:
    store = Store()
    for _ in range(3):
        store.put(b"a", b"1")
        store.put(b"b", b"1")
        store.commit()
    changes, following = store.changes_since(2, limit=1)
    assert ([kv.mod_revision for kv in changes], following) == ([2, 2], 3)
    changes, following = store.changes_since(2, limit=3)
    assert ([kv.mod_revision for kv in changes], following) == ([2, 2, 3, 3], 4)
    assert store.changes_since(5, limit=3) == ([], 5)


def test_the_previous_version_of_a_change_is_lost_when_it_is_compacted() -> None:
    store = filled((b"a", b"1"), (b"a", b"2"), (b"a", b"3"))
    first, second, third = store.changes_since(2, limit=100)[0]
    assert (store.previous(first), store.previous(second)) == (None, first)
    store.compact(3)
    assert store.previous(second) is None
    assert store.previous(third) == second


def test_equal_keyspaces_have_equal_hashes_whatever_was_compacted() -> None:
    one, other = filled((b"a", b"1"), (b"a", b"2"), (b"b", b"1")), filled((b"a", b"1"), (b"a", b"2"), (b"b", b"1"))
    other.compact(3)
    assert one.hash() == other.hash() == one.hash(4)
    assert one.hash(3) == other.hash(3) != one.hash(4)


def test_a_snapshot_restores_history_log_and_size() -> None:
    store = filled((b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"b", None), (b"c", b"1"))
    store.compact(4)
    restored = Store.restored(store.snapshot())
    assert restored.snapshot() == store.snapshot()
    assert restored.changes_since(4, limit=100) == store.changes_since(4, limit=100)
    assert (restored.size_bytes, restored.keys_total) == (store.size_bytes, store.keys_total)
    restored.put(b"a", b"3")
    restored.commit()
    assert restored.latest(b"a") == KeyValue(b"a", b"3", 2, 7, 3)
