"""What certainly happened in a store, by key and revision: the yardstick for watches.

It is put together from all that anybody was told: acknowledged writes, and the events of every watcher. An event that
one watcher was told is owed to all others that cover it; so a change whose writer was never answered counts as soon as
anybody was told of it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ha.check.store_facts import Facts
from ha.history import Operation
from ha.history.watch import WatchBegun, WatchedEvent, WatchEnded, WatchRecord, WatchTold

__all__ = ["Known", "Truth", "Watch", "watches"]

_OF_OBJECTS = "/registry/configmaps/ha-workload/"
"""Under which the store keeps what clients of the API write."""


@dataclass(slots=True)
class Watch:
    """One watch of one watcher, from its confirmation on."""

    begun: WatchBegun
    told: list[WatchTold] = field(default_factory=list)
    ended: WatchEnded | None = None

    @property
    def of_api(self) -> bool:
        """Whether it is a watch of objects: its events are named so."""
        return self.begun.server == "API"

    def wants(self, key: str, *, deleted: bool) -> bool:
        """Whether a change of a key is among what was asked for."""
        begun = self.begun
        inside = begun.key <= key < begun.range_end if begun.range_end else key == begun.key
        return inside and ("NODELETE" if deleted else "NOPUT") not in begun.filters

    def __str__(self) -> str:
        begun = self.begun
        return f"{begun.workload} client {begun.client} at {begun.server}, from revision {begun.revision} on"


def watches(records: Iterable[WatchRecord]) -> dict[tuple[str, int], list[Watch]]:
    """The watches of each watcher, in order. One that was refused is left out."""
    found: dict[tuple[str, int], list[Watch]] = defaultdict(list)
    for record in records:
        mine = found[record.workload, record.client]
        if isinstance(record, WatchBegun):
            mine.append(Watch(record))
        elif mine and mine[-1].begun.number == record.number:
            if isinstance(record, WatchTold):
                mine[-1].told.append(record)
            else:
                mine[-1].ended = record
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """A key was put, or deleted, at a revision. `by`: who says so."""

    key: str
    revision: int
    deleted: bool
    by: str
    value: str | None = None
    """None: not known, or not comparable."""


class Truth:
    """All that is known. `violations`: where two say different things."""

    def __init__(self, facts: Facts, objects: Sequence[Operation], found: Iterable[Watch]) -> None:
        self.contradictions: list[tuple[Known, Known]] = []
        self._known: dict[tuple[int, str], Known] = {}
        self._of_value: dict[str, Known] = {}
        for known in (*_acknowledged(facts), *_objects(objects)):
            self._add(known)
            if known.value is not None:
                self._of_value[known.value] = known
        for watch in found:
            for version in watch.begun.state or []:
                self._add(Known(version.key, version.mod_revision, deleted=False, by=str(watch)))
            for told in watch.told:
                for event in told.events:
                    self._add(_event(event, watch, told))
        self._ordered = [self._known[at] for at in sorted(self._known)]
        self._revisions = [known.revision for known in self._ordered]
        self._of_key: dict[str, list[Known]] = defaultdict(list)
        for known in self._ordered:
            self._of_key[known.key].append(known)

    def between(self, watch: Watch, first: int, last: int) -> Iterator[Known]:
        """What a watch wants, of the revisions from `first` to `last`, in order."""
        low, high = bisect_left(self._revisions, first), bisect_right(self._revisions, last)
        return (known for known in self._ordered[low:high] if watch.wants(known.key, deleted=known.deleted))

    def before(self, key: str, revision: int) -> Known | None:
        """The last change of a key below a revision, as far as anybody knows."""
        mine = self._of_key.get(key, [])
        at = bisect_left(mine, revision, key=lambda known: known.revision)
        return mine[at - 1] if at else None

    def keys(self) -> Iterable[str]:
        """Every key."""
        return self._of_key

    def _add(self, known: Known) -> None:
        first = self._known.setdefault((known.revision, known.key), known)
        differs = first.deleted != known.deleted or (
            first.value is not None and known.value is not None and first.value != known.value
        )
        written = self._of_value.get(known.value) if known.value is not None else None
        if differs:
            self.contradictions.append((first, known))
        elif written is not None and (written.key, written.revision) != (known.key, known.revision):
            self.contradictions.append((written, known))


def _acknowledged(facts: Facts) -> Iterator[Known]:
    for key, changes in facts.changes.items():
        for change in changes:
            who = f"{change.by.workload} client {change.by.client}"
            yield Known(key, change.revision, change.value is None, f"{who}, who was answered so", change.value)


def _objects(operations: Iterable[Operation]) -> Iterator[Known]:
    for operation in operations:
        if operation.outcome == "ok" and operation.revision and operation.type in ("write", "cas", "create"):
            who = f"{operation.workload} client {operation.client}, who was answered so"
            yield Known(f"{_OF_OBJECTS}{operation.key}", operation.revision, deleted=False, by=who)


def _event(event: WatchedEvent, watch: Watch, told: WatchTold) -> Known:
    """Values of objects are whole objects in the store, and what their owner wrote in the API: not to be compared."""
    deleted = event.type in ("DELETE", "DELETED")
    comparable = not deleted and not event.kv.key.startswith(_OF_OBJECTS)
    by = f"{watch.begun.workload} client {watch.begun.client} at {watch.begun.server} at {told.at_s:.3f} s"
    return Known(event.kv.key, event.kv.mod_revision, deleted, by, event.kv.value if comparable else None)
