"""Holds what watchers were told against what etcd and the API promise of watches.

* *ordered*: events come in order of revision; *unique*: none comes twice, over breaks as well;
* *atomic*: all events of one revision come in one message;
* *reliable*: between any two events that were told, or from where a watch began, nothing is left out;
* *resumable*: a watch that was resumed goes on without a gap; where the history it needs is gone, it ends and says so;
* *bookmarkable*: once told that it has come to a revision, a watcher has been told everything up to there;
* what was replaced (``prev_kv``) is what was there before, and nothing comes that was not asked for;
* of the API: the list that a watch begins with is complete, and what is ADDED was not there, what is MODIFIED or
  DELETED was;
* *complete*: once the cluster has healed, every watcher is told all that it still misses.

(etcd's "API guarantees", Watch APIs; Kubernetes' "Efficient detection of changes".) What it is held against is put
together in `ha.check.watched`. Delay is not judged, since nothing is promised: what a watcher was not told *yet*
convicts nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ha.check.store_facts import Facts, request_of
from ha.check.violation import Violation
from ha.check.watched import Known, Truth, Watch, watches
from ha.history import Operation
from ha.history.store import Compact, Version
from ha.history.watch import WatchedEvent, WatchEnded, WatchRecord, WatchTold

__all__ = ["unfinished", "violations"]


def violations(
    records: Sequence[WatchRecord], facts: Facts, objects: Sequence[Operation], *, sole: bool
) -> list[Violation]:
    """What no watch may tell. `facts`: of the store; `objects`: operations on objects of the API. `sole`: nobody but
    these clients compacts the store.
    """
    watchers = watches(records)
    truth = Truth(facts, objects, (watch for mine in watchers.values() for watch in mine))
    found = [
        Violation(f"two stories of {one.key} at revision {other.revision}", [_story(one), _story(other)])
        for one, other in truth.contradictions
    ]
    last = _last(records)
    for watcher, mine in watchers.items():
        found += _Watcher(truth, _compactions(facts) if sole else None).judge(mine, last[watcher])
    return found


def unfinished(records: Iterable[WatchRecord]) -> bool:
    """Whether some watcher was not followed to the end, since nobody would tell where that is."""
    return any(not (isinstance(one, WatchEnded) and one.owed) for one in _last(records).values())


def _last(records: Iterable[WatchRecord]) -> dict[tuple[str, int], WatchRecord]:
    return {(one.workload, one.client): one for one in records}


class _Watcher:
    """One watcher, over all its watches."""

    def __init__(self, truth: Truth, compactions: Sequence[tuple[int, float]] | None) -> None:
        self._truth = truth
        self._compactions = compactions
        """Revision, and from when on it may have been compacted. None: others compact as well."""
        self._seen: dict[tuple[int, str], WatchTold] = {}
        self._last = 0
        """The revision of the last event."""
        self._mark: WatchTold | None = None
        """The last progress notification or bookmark."""
        self._position = 0
        """Everything up to here was told, or should have been."""
        self._present: dict[str, Version] = {}

    def judge(self, mine: Sequence[Watch], last: WatchRecord) -> Iterator[Violation]:
        """All its watches, in order. `last`: what was recorded of it in the end."""
        for watch in mine:
            if not watch.begun.resumed or watch.begun.revision > self._position + 1:  # it gave up what lies between
                self._position = watch.begun.revision - 1
            if watch.begun.state is not None:
                yield from self._listed(watch, watch.begun.state)
            for told in watch.told:
                yield from self._message(watch, told) if told.events else self._bookmark(watch, told)
            if watch.ended is not None and watch.ended.compact_revision:
                yield from self._compacted(watch, watch.ended)
        if mine and isinstance(last, WatchEnded) and last.owed:
            yield from self._complete(mine[-1], last.at_s, last.owed, "complete", "was never told")

    def _message(self, watch: Watch, told: WatchTold) -> Iterator[Violation]:
        newest = self._last
        for event in told.events:
            yield from self._event(watch, told, event, newest)
            newest = max(newest, event.kv.mod_revision)
        if newest > self._position:
            yield from self._complete(watch, told.at_s, newest, "reliable", "is missing between events that were told")
        self._last = newest
        now = {event.kv.mod_revision for event in told.events}
        for known in self._truth.between(watch, min(now), max(now)):
            other = self._seen.get((known.revision, known.key))
            if known.revision in now and other is not None and other is not told:
                what = f"revision {known.revision} is split over two messages"
                yield _violation("atomic", watch, what, f"at {other.at_s:.3f} s and at {told.at_s:.3f} s")

    def _event(self, watch: Watch, told: WatchTold, event: WatchedEvent, newest: int) -> Iterator[Violation]:
        kv, at = event.kv, f"told at {told.at_s:.3f} s"
        shown = f"{event.type} {kv.key} at revision {kv.mod_revision}"
        first = self._seen.get((kv.mod_revision, kv.key))
        self._seen.setdefault((kv.mod_revision, kv.key), told)
        if not watch.wants(kv.key, deleted=event.type in ("DELETE", "DELETED")):
            yield _violation("filtered", watch, f"{shown} was not asked for", at)
        if first is not None:
            yield _violation("unique", watch, f"{shown} was told twice", f"first at {first.at_s:.3f} s", at)
        elif kv.mod_revision < newest:
            yield _violation("ordered", watch, f"{shown} comes after revision {newest}", at)
        elif self._mark is not None and kv.mod_revision <= self._mark.revision:
            what = f"{shown} comes after a bookmark of revision {self._mark.revision}"
            yield _violation("bookmarkable", watch, what, f"bookmark at {self._mark.at_s:.3f} s", at)
        elif kv.mod_revision < watch.begun.revision:
            yield _violation("resumable", watch, f"{shown} is older than what was asked for", at)
        if watch.of_api:
            yield from self._of_api(watch, event, shown, at)
        elif watch.begun.prev_kv or event.prev is not None:
            reason = self._wrong_previous(watch, event, told)
            if reason:
                yield _violation("prev_kv", watch, f"{shown} {reason}", at)

    def _bookmark(self, watch: Watch, told: WatchTold) -> Iterator[Violation]:
        if told.revision > self._position:
            what = f"comes before a bookmark of revision {told.revision}, and was not told by then"
            yield from self._complete(watch, told.at_s, told.revision, "bookmarkable", what)
        if self._mark is None or told.revision >= self._mark.revision:
            self._mark = told

    def _complete(self, watch: Watch, at_s: float, until: int, promise: str, what: str) -> Iterator[Violation]:
        """Whether everything from the position to a revision was told by then."""
        for known in self._truth.between(watch, self._position + 1, until):
            if (known.revision, known.key) not in self._seen:
                yield _violation(promise, watch, f"{_change(known)} {what}", f"at {at_s:.3f} s", _story(known))
        self._position = until

    def _compacted(self, watch: Watch, ended: WatchEnded) -> Iterator[Violation]:
        needed = self._position + 1
        if ended.compact_revision <= needed:
            what = f"was ended as compacted at {ended.compact_revision}, which leaves revision {needed}"
            yield _violation("resumable", watch, what)
        if self._compactions is not None and not any(
            revision == ended.compact_revision and asked_s <= ended.at_s for revision, asked_s in self._compactions
        ):
            what = f"was ended as compacted at {ended.compact_revision}, and nobody compacted that"
            yield _violation("resumable", watch, what)

    # What was there before

    def _wrong_previous(self, watch: Watch, event: WatchedEvent, told: WatchTold) -> str | None:
        """What is wrong with what an event says to have replaced; None: nothing."""
        kv, prev = event.kv, event.prev
        known = self._truth.before(kv.key, kv.mod_revision)
        if prev is None:
            replaced = kv.version > 1 or (event.type == "DELETE" and known is not None and not known.deleted)
            excused = not watch.begun.prev_kv or self._may_be_compacted(kv.mod_revision, told.at_s)
            return None if excused or not replaced else "comes without what it replaced"
        if prev.key != kv.key or prev.mod_revision >= kv.mod_revision:
            return f"says to have replaced {prev.key} of revision {prev.mod_revision}"
        if known is not None and known.revision + known.deleted > prev.mod_revision:
            return f"says to have replaced revision {prev.mod_revision}, after which there was {_change(known)}"
        if event.type == "PUT" and (kv.version, kv.create_revision) != (prev.version + 1, prev.create_revision):
            return f"is version {kv.version} and says to have replaced version {prev.version}"
        same = known is not None and known.revision == prev.mod_revision and known.value is not None
        if same and known is not None and known.value != prev.value:
            return f"says to have replaced {prev.value!r}, where there was {known.value!r}"
        return None

    def _may_be_compacted(self, revision: int, at_s: float) -> bool:
        if self._compactions is None:
            return True
        return any(compacted >= revision and asked_s <= at_s for compacted, asked_s in self._compactions)

    # Objects

    def _listed(self, watch: Watch, state: Sequence[Version]) -> Iterator[Violation]:
        """The list that a watch begins with: everything as of one revision."""
        at = watch.begun.revision - 1
        self._present = {version.key: version for version in state}
        self._seen.clear()
        self._last, self._mark = 0, None
        for key in sorted(self._truth.keys()):
            known = self._truth.before(key, at + 1)
            if known is None or not watch.wants(key, deleted=False):
                continue
            listed = self._present.get(key)
            if (listed.mod_revision if listed else 0) != (0 if known.deleted else known.revision):
                shows = f"revision {listed.mod_revision}" if listed else "nothing"
                what = f"the list of revision {at} shows {shows} where there was {_change(known)}"
                yield _violation("list", watch, what, f"at {watch.begun.at_s:.3f} s", _story(known))

    def _of_api(self, watch: Watch, event: WatchedEvent, shown: str, at: str) -> Iterator[Violation]:
        there = event.kv.key in self._present
        if there == (event.type == "ADDED"):
            is_there = "is there already" if there else "is not there"
            yield _violation("type", watch, f"{shown}, and for this watcher it {is_there}", at)
        if event.type == "DELETED":
            self._present.pop(event.kv.key, None)
        else:
            self._present[event.kv.key] = event.kv


def _compactions(facts: Facts) -> list[tuple[int, float]]:
    """All that may have been done."""
    asked = [(request_of(o), o) for o in facts.operations if o.outcome != "fail"]
    return [(request.revision, o.invoked_s) for request, o in asked if isinstance(request, Compact)]


def _change(known: Known) -> str:
    return f"{'the deletion' if known.deleted else 'the write'} of {known.key} at revision {known.revision}"


def _story(known: Known) -> str:
    what = "deleted" if known.deleted else "written" if known.value is None else f"set to {known.value!r}"
    return f"{known.key} was {what} at revision {known.revision}, says {known.by}"


def _violation(promise: str, watch: Watch, what: str, *shown_by: str) -> Violation:
    return Violation(f"{promise}: {what}", [str(watch), *shown_by])
