"""What no watch may tell convicts; what is late, broken off or unknown convicts nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ha.check.store_facts import Facts
from ha.check.watch_guarantees import unfinished, violations
from ha.history import Operation
from ha.history.store import Put, Version
from ha.history.watch import WatchBegun, WatchedEvent, WatchEnded, WatchRecord, WatchTold
from tests.unit.check.store_ops import asked, compact, kv, put

CONFIG_MAPS = "/registry/configmaps/ha-workload/"


class Story:
    """The records of one watcher, a second apart."""

    def __init__(self, client: int = 0, **asked_for: Any) -> None:
        self.records: list[WatchRecord] = []
        self._who = {"workload": "watch", "client": client}
        self._asked_for = {"server": "etcd-1", "key": "a", "range_end": "z", **asked_for}
        self._number = -1

    def begins(self, revision: int, **more: Any) -> Story:
        self._number += 1
        return self._add(WatchBegun, revision=revision, **{**self._asked_for, "resumed": self._number > 0, **more})

    def tells(self, *events: WatchedEvent) -> Story:
        return self._add(WatchTold, revision=events[-1].kv.mod_revision, events=list(events))

    def has_come_to(self, revision: int) -> Story:
        return self._add(WatchTold, revision=revision)

    def ends(self, reason: str = "stopped", **more: Any) -> Story:
        return self._add(WatchEnded, reason=reason, **more)

    def _add(self, kind: Any, **fields: Any) -> Story:
        self.records.append(kind(**self._who, number=self._number, at_s=float(len(self.records)), **fields))
        return self


def event(key: str, revision: int, version: int = 1, prev: Version | None = None) -> WatchedEvent:
    create = revision if version == 1 else 1
    return WatchedEvent("PUT", Version(key, f"{key}{revision}", create, revision, version), prev)


def gone(key: str, revision: int, prev: Version | None = None) -> WatchedEvent:
    return WatchedEvent("DELETE", Version(key, "", 0, revision, 0), prev)


def found(
    *stories: Story, store: Sequence[Operation] = (), objects: Sequence[Operation] = (), sole: bool = True
) -> list[str]:
    records = [record for story in stories for record in story.records]
    return [one.reason for one in violations(records, Facts.of(store), objects, sole=sole)]


def promises(*stories: Story, **more: Any) -> list[str]:
    return sorted({reason.partition(":")[0] for reason in found(*stories, **more)})


WHOLE = Story(client=9).begins(2).tells(event("b", 2)).tells(event("c", 3), event("d", 4)).tells(event("e", 5))
"""A watcher that was told everything: two changes came at once."""


def test_the_whole_story_convicts_nobody() -> None:
    other = Story().begins(2).tells(event("b", 2), event("c", 3)).tells(event("d", 4)).ends("lost")
    other.begins(5).tells(event("e", 5)).has_come_to(7).ends(owed=7)
    assert found(WHOLE, other) == []
    assert found(Story().begins(2).tells(event("b", 2)).ends("lost"), WHOLE) == [], "what is late convicts nobody"


def test_events_are_ordered() -> None:
    assert promises(Story().begins(2).tells(event("c", 3), event("b", 2))) == ["ordered"]
    assert "ordered" in promises(Story().begins(2).tells(event("c", 3)).tells(event("b", 2)))


def test_no_event_comes_twice() -> None:
    assert "unique" in promises(Story().begins(2).tells(event("b", 2), event("b", 2)))
    assert promises(Story().begins(2).tells(event("b", 2)).ends("lost").begins(3).tells(event("b", 2))) == [
        "atomic",
        "unique",
    ]


def test_a_revision_comes_in_one_message() -> None:
    split = Story().begins(2).tells(event("b", 2)).tells(event("c", 2))
    assert promises(split) == ["atomic", "reliable"]
    assert promises(Story().begins(2).tells(event("b", 2), event("c", 2))) == []


def test_nothing_is_left_out() -> None:
    gap = "reliable: the write of d at revision 4 is missing between events that were told"
    assert found(WHOLE, Story().begins(2).tells(event("b", 2), event("c", 3)).tells(event("e", 5))) == [gap]
    assert found(WHOLE, Story(key="e", range_end="").begins(2).tells(event("e", 5))) == []
    assert found(WHOLE, Story().begins(5).tells(event("e", 5))) == []


def test_what_was_acknowledged_counts_though_no_watcher_was_told() -> None:
    written = put("d", "d4", 4, 0, 1)
    assert promises(Story().begins(3).tells(event("c", 3)).tells(event("e", 5)), store=[written]) == ["reliable"]
    refused = asked(Put("d", "d4"), 0, 1, refusal="other")
    assert promises(Story().begins(3).tells(event("c", 3)).tells(event("e", 5)), store=[refused]) == []


def test_a_resumed_watch_has_no_gap() -> None:
    broken = Story().begins(2).tells(event("b", 2)).ends("lost").begins(3).tells(event("e", 5))
    assert promises(WHOLE, broken) == ["reliable"]
    older = Story().begins(4).tells(event("c", 3))
    assert promises(WHOLE, older) == ["resumable"]


def test_a_compaction_is_said_and_true() -> None:
    def story(compacted: int) -> Story:
        broken = Story().begins(2).tells(event("b", 2)).ends("compacted", compact_revision=compacted)
        return broken.begins(compacted).tells(event("e", 5)) if compacted > 3 else broken

    assert promises(WHOLE, story(5), store=[compact(5, 0, 1)]) == []
    assert promises(WHOLE, story(5)) == ["resumable"], "nobody compacted"
    assert promises(WHOLE, story(5), sole=False) == []
    assert promises(WHOLE, story(3), store=[compact(3, 0, 1)]) == ["resumable"], "which leaves what comes next"


def test_a_bookmark_comes_after_what_it_covers() -> None:
    assert promises(WHOLE, Story().begins(2).tells(event("b", 2)).has_come_to(3)) == ["bookmarkable"]
    late = Story().begins(2).tells(event("b", 2)).has_come_to(3).tells(event("c", 3))
    assert promises(late) == ["bookmarkable"]
    assert promises(WHOLE, Story().begins(2).tells(event("b", 2)).has_come_to(2).tells(event("c", 3))) == []


@pytest.mark.parametrize(
    ("prev", "right"),
    [
        (kv("b", "b2", 2), True),
        (None, False),
        (kv("b", "b2", 2, version=2), False),
        (kv("b", "other", 2), False),
        (kv("b", "b1", 1), False),
        (kv("c", "b2", 2), False),
        (kv("b", "b5", 5), False),
    ],
)
def test_what_was_replaced_is_what_was_there(prev: Version | None, right: Any) -> None:
    second = WatchedEvent("PUT", Version("b", "b5", 2, 5, 2), prev)
    story = Story(prev_kv=True).begins(2).tells(event("b", 2)).tells(second)
    assert promises(story, store=[put("b", "b2", 2, 0, 1)]) == ([] if right else ["prev_kv"])


def test_what_was_replaced_may_be_compacted() -> None:
    story = Story(prev_kv=True).begins(2).tells(event("b", 2)).tells(gone("b", 5))
    assert promises(story) == ["prev_kv"]
    assert promises(story, store=[compact(5, 0, 1)]) == []
    assert promises(story, store=[compact(4, 0, 1)]) == ["prev_kv"]
    assert promises(story, sole=False) == []


def test_a_deleted_key_is_not_replaced() -> None:
    story = Story(prev_kv=True).begins(2).tells(event("b", 2)).tells(gone("b", 3, kv("b", "b2", 2)))
    assert promises(story) == []
    assert promises(story.tells(event("b", 6, prev=kv("b", "b2", 2)))) == ["prev_kv"]


def test_nothing_comes_that_was_not_asked_for() -> None:
    assert promises(Story(key="b", range_end="").begins(2).tells(event("c", 3))) == ["filtered"]
    assert promises(Story(filters=["NODELETE"]).begins(2).tells(gone("c", 3))) == ["filtered"]
    assert promises(Story(filters=["NOPUT"]).begins(2).tells(gone("e", 6)), WHOLE) == []


def test_nobody_is_told_another_story() -> None:
    other = WatchedEvent("PUT", Version("b", "other", 2, 2, 1))
    assert found(WHOLE, Story().begins(2).tells(other)) == ["two stories of b at revision 2"]
    assert found(WHOLE, Story().begins(2).tells(gone("b", 2))) == ["two stories of b at revision 2"]
    elsewhere = [put("b", "b2", 7, 0, 1)]
    assert found(Story().begins(2).tells(event("b", 2)), store=elsewhere) == ["two stories of b at revision 2"]


def test_every_watcher_is_told_what_it_misses_in_the_end() -> None:
    assert promises(Story().begins(2).tells(event("b", 2)).ends(owed=2)) == []
    behind = Story().begins(2).tells(event("b", 2)).tells(event("c", 3), event("d", 4)).ends("lost").ends(owed=7)
    assert found(WHOLE, behind) == ["complete: the write of e at revision 5 was never told"]
    assert found(WHOLE, Story(key="b", range_end="").begins(2).tells(event("b", 2)).ends(owed=7)) == []


def test_where_the_end_is_must_be_known() -> None:
    assert not unfinished(Story().begins(2).ends(owed=2).records)
    assert unfinished(Story().begins(2).ends().records)
    assert unfinished(Story().begins(2).records)


# ---- objects


def api(revision: int, *there: tuple[str, int]) -> Story:
    state = [Version(CONFIG_MAPS + name, "v", 0, at, 0) for name, at in there]
    return Story(server="API", key=CONFIG_MAPS, range_end=CONFIG_MAPS[:-1] + "0").begins(revision, state=state)


def change(type_: Any, name: str, revision: int) -> WatchedEvent:
    return WatchedEvent(type_, Version(CONFIG_MAPS + name, "v", 0, revision, 0))


def test_events_of_objects_say_what_became_of_them() -> None:
    right = api(5, ("x", 3)).tells(change("MODIFIED", "x", 6)).tells(change("DELETED", "x", 7))
    assert found(right.tells(change("ADDED", "x", 8))) == []
    assert promises(api(5, ("x", 3)).tells(change("ADDED", "x", 6))) == ["type"]
    assert promises(api(5).tells(change("MODIFIED", "x", 6))) == ["type"]
    assert promises(api(5).tells(change("DELETED", "x", 6))) == ["type"]


def test_a_list_shows_everything_up_to_its_revision() -> None:
    def written(revision: int) -> Operation:
        fields: Any = {"type": "write", "key": "x", "outcome": "ok", "revision": revision}
        return Operation(workload="register", client=0, invoked_s=0, completed_s=1, **fields)

    assert found(api(5, ("x", 3)), objects=[written(3), written(5)]) == []
    assert promises(api(5, ("x", 3)), objects=[written(3), written(4)]) == ["list"]
    assert promises(api(5), objects=[written(3)]) == ["list"]


def test_after_a_new_list_the_watch_begins_anew() -> None:
    story = api(5, ("x", 3)).tells(change("MODIFIED", "x", 6)).ends("compacted")
    listed = [Version(CONFIG_MAPS + "x", "v", 0, 8, 0)]
    story.begins(9, resumed=False, state=listed).tells(change("MODIFIED", "x", 9))
    assert found(story) == []
