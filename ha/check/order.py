"""The order that revisions give: version chains per key, one clock for the whole store.

Kubernetes' resourceVersion is etcd's mod_revision: one counter for all keys, raised by every write, also by
writers that no client records. So an acknowledged write names its own place in the order of *all* writes, and
a read names the write that it saw: it lies in ``[mod_revision, next write of that key)``. What remains is
arithmetic (Gibbons and Korach, 1997: with this information the problem is easy):

1. acknowledged revisions are distinct;
2. every revision that was seen was made by one write of that key and value: an acknowledged one, or one of
   unknown outcome, which is then *bound* to it;
3. within a key each write found what it demanded: a cas its expected revision as direct predecessor (of
   revisions, never of values: values repeat), a create nothing, a delete something;
4. real time: sweep the clock; `floor` is the highest position among operations that were answered before now.
   A write must come above the floor of its invocation, a read's interval must reach above it.

Every conviction is sound. Gaps between revisions prove nothing (others write too), and a write of unknown
outcome that nobody saw may be taken for one that never happened: it could only hide behind other writes.
Except where something needs it: a create over an object that an unknown delete may have removed, two unknown
writes of one value, an acknowledged write whose revision the answer did not tell. Those keys are marked
undecided and left to `ha.check.undecided`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from ha.check.describe import describe
from ha.check.entries import Entry, KeyHistory, entries, group
from ha.history import Operation

__all__ = ["Conviction", "Order", "establish"]


class Conviction(Exception):  # noqa: N818  (it ends a proof, it is no error)
    """No order can explain these operations."""

    def __init__(self, reason: str, *guilty: Entry) -> None:
        super().__init__(reason)
        self.operations = list(dict.fromkeys(entry.operation for entry in guilty))
        self.explanation = [reason, *(describe(operation) for operation in self.operations)]


@dataclass(frozen=True, slots=True)
class Order:
    """What revisions settle. Keys that they do not settle are marked in their `KeyHistory`."""

    entries: list[Entry]
    keys: dict[str, KeyHistory]
    owners: dict[int, Entry]
    """The write of each revision whose writer is known."""

    def undecided(self) -> list[str]:
        """Keys that need a search, in the order of their first operation."""
        return [key for key, history in self.keys.items() if history.undecided]

    def forked(self) -> list[str]:
        """Keys that a search of others must take along: their reads may stand in several places."""
        return [key for key, history in self.keys.items() if history.forked and not history.undecided]


def establish(operations: Sequence[Operation]) -> Order:
    """Order a history by its revisions. Raises Conviction."""
    made = entries(operations)
    keys = group(made)
    owners = _owners(made)
    _bind(keys, owners)
    for history in keys.values():
        history.versions.sort(key=_revision)
        _check_chain(history)
        _check_refusals(history)
        _mark_undecided(history)
    _sweep(made, keys)
    return Order(made, keys, owners)


def _revision(entry: Entry) -> int:
    assert entry.revision is not None, "a version has a revision"
    return entry.revision


# 1. distinct revisions


def _owners(made: Iterable[Entry]) -> dict[int, Entry]:
    owners: dict[int, Entry] = {}
    for entry in made:
        if entry.is_read or entry.revision is None:
            continue
        other = owners.setdefault(entry.revision, entry)
        if other is not entry:
            raise Conviction(f"two acknowledged writes have revision {entry.revision}", other, entry)
    return owners


# 2. who made what was seen. A sighting is an entry: a read of a revision, or a write that demanded one.


def _seen(by: Entry) -> tuple[int, str | None]:
    """Revision and value (None: not known) that a sighting shows; revision 0: nothing."""
    return (by.revision or 0, by.value) if by.is_read else (by.demands or 0, None)


def _bind(keys: dict[str, KeyHistory], owners: dict[int, Entry]) -> None:
    """Find the writer of every revision seen; a bound write may have seen one itself, hence the loop."""
    sightings = _sightings(keys.values())
    unowned: dict[int, Entry] = {}
    while sightings:
        for by in sightings:
            revision, value = _seen(by)
            if revision in owners:
                _match(by, owners[revision], revision, value)
            else:
                _unite(unowned, by, revision, value)
        sightings = []
        for revision in sorted(unowned):
            writer = _only_writer(keys[unowned[revision].key], unowned[revision])
            if writer is not None:
                del unowned[revision]
                owners[revision] = writer
                _adopt(keys[writer.key], revision, writer)
                sightings += [writer] if writer.demands and not writer.must_happen else []
    for revision, by in unowned.items():
        keys[by.key].loose[revision] = _seen(by)[1]


def _sightings(histories: Iterable[KeyHistory]) -> list[Entry]:
    found: list[Entry] = []
    for history in histories:
        found += [read for read in history.reads if read.revision]
        found += [write for write in history.versions if write.demands]
        found += [write for write in history.open if write.demands and write.must_happen]
    return found


def _match(by: Entry, owner: Entry, revision: int, value: str | None) -> None:
    if owner.key != by.key:
        raise Conviction(f"revision {revision} was seen on {by.key} but written to {owner.key}", by, owner)
    if owner.deletes:
        raise Conviction(f"revision {revision} was seen but is that of a deletion", by, owner)
    if value is not None and owner.value is not None and value != owner.value:
        raise Conviction(f"the value seen at revision {revision} is not the one written there", by, owner)


def _unite(unowned: dict[int, Entry], by: Entry, revision: int, value: str | None) -> None:
    other = unowned.setdefault(revision, by)
    seen = _seen(other)[1]
    if other.key != by.key or (None not in (seen, value) and seen != value):
        raise Conviction(f"revision {revision} was seen with two contents", other, by)
    if seen is None:
        unowned[revision] = by


def _only_writer(history: KeyHistory, by: Entry) -> Entry | None:
    """The only write that can have made what was seen; None: there are several. Raises Conviction for none."""
    revision, value = _seen(by)
    candidates = [
        write for write in history.open if not write.deletes and (value is None or write.value in (None, value))
    ]
    if not candidates:
        raise _phantom(history, by, revision, value)
    sure = len(candidates) == 1 and value is not None and candidates[0].value is not None
    return candidates[0] if sure else None


def _phantom(history: KeyHistory, by: Entry, revision: int, value: str | None) -> Conviction:
    twins = [write for write in history.versions if value is not None and write.value == value]
    if twins:
        reason = f"{value!r} was seen at revision {revision} but written at {twins[0].revision}: applied twice"
        return Conviction(reason, by, twins[0])
    return Conviction(f"phantom: no recorded write can have made revision {revision} of {by.key}", by)


def _adopt(history: KeyHistory, revision: int, writer: Entry) -> None:
    writer.revision = revision
    history.open.remove(writer)
    history.versions.append(writer)


# 3. demands within a key


def _check_chain(history: KeyHistory) -> None:
    before: Entry | None = None
    for version in history.versions:
        _check_demand(history, before, version)
        before = version


def _check_demand(history: KeyHistory, before: Entry | None, version: Entry) -> None:
    """A write found what it demanded in its direct predecessor, unless an open write may stand in between."""
    found = 0 if before is None or before.deletes else _revision(before)
    demand = version.demands
    around = (version,) if before is None else (version, before)
    if demand is None:
        if version.deletes and not found:
            explicable = any(not write.deletes for write in history.open)
            _suspect(history, "deleted what was not there", around, explicable=explicable)
    elif demand == found:
        return
    elif demand == 0:
        explicable = any(write.deletes for write in history.open)
        _suspect(history, "created what was there already", around, explicable=explicable)
    else:
        low = 0 if before is None else _revision(before)
        explicable = demand in history.loose and low < demand < _revision(version)
        reason = f"lost update: replaced revision {demand} although {found or 'nothing'} was current"
        _suspect(history, reason, around, explicable=explicable)


def _suspect(history: KeyHistory, reason: str, guilty: Sequence[Entry], *, explicable: bool) -> None:
    if not explicable:
        raise Conviction(reason, *guilty)
    history.undecided = True


def _check_refusals(history: KeyHistory) -> None:
    for read in history.reads:
        if read.operation.type != "read" and read.revision and read.operation.expected == read.revision:
            raise Conviction("refused although the expected revision was current", read)


def _mark_undecided(history: KeyHistory) -> None:
    deletions = any(write.deletes for write in history.open)
    history.undecided |= (
        bool(history.loose)
        or any(write.must_happen for write in history.open)
        or any(read.revision is None for read in history.reads)
        or (deletions and any(read.revision == 0 for read in history.reads))
    )
    absences = any(read.revision == 0 for read in history.reads)
    history.forked = absences and any(version.deletes for version in history.versions)


# 4. real time


def _sweep(made: Sequence[Entry], keys: dict[str, KeyHistory]) -> None:
    """Walk through invocations and answers in the order of time. Sets each entry's `floor`."""
    gaps = {}
    for key, history in keys.items():
        _set_ceilings(history)
        gaps[key] = _gaps(history)
    starts = np.array([entry.start_s for entry in made])
    ends = np.array([entry.end_s for entry in made])
    floor = 0
    above: Entry | None = None
    positions = [0] * len(made)
    for event in _by_time(starts, ends):
        index, is_end = divmod(event, 2)
        entry = made[index]
        if is_end:
            if positions[index] > floor:
                floor, above = positions[index], entry
            continue
        entry.floor = floor
        if not entry.is_read:
            positions[index] = _place_write(entry, above)
        elif entry.revision != 0:
            positions[index] = _place_read(entry, above, keys[entry.key])
        else:
            positions[index] = _place_absence(entry, above, gaps[entry.key])


def _by_time(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> list[int]:
    """Twice the index, plus one for an answer; at one instant invocations come first (they are concurrent)."""
    answered = np.flatnonzero(ends < inf)
    events = np.concatenate([2 * np.arange(len(starts)), 2 * answered + 1])
    times = np.concatenate([starts, ends[answered]])
    order: list[int] = events[np.lexsort((events & 1, times))].tolist()
    return order


def _set_ceilings(history: KeyHistory) -> None:
    revisions = [_revision(version) for version in history.versions]
    for read in history.reads:
        if read.revision:
            successor = bisect_right(revisions, read.revision)
            read.ceiling = revisions[successor] if successor < len(revisions) else inf


def _gaps(history: KeyHistory) -> list[tuple[int, float]]:
    """Intervals of revisions in which the key is absent, as far as known writes tell."""
    if any(write.deletes for write in history.open):
        return [(0, inf)]  # it may be absent anywhere
    starts = [0] + [_revision(version) for version in history.versions if version.deletes]
    revisions = [_revision(version) for version in history.versions]
    following = [bisect_right(revisions, start) for start in starts]
    return [(start, revisions[i] if i < len(revisions) else inf) for start, i in zip(starts, following, strict=True)]


def _place_write(write: Entry, above: Entry | None) -> int:
    if write.revision is None:
        return 0
    if write.revision <= write.floor:
        assert above is not None, "somebody raised the floor"
        raise Conviction(f"time travel: revision {write.revision} after {write.floor} was complete", write, above)
    return write.revision


def _place_read(read: Entry, above: Entry | None, history: KeyHistory) -> int:
    if read.floor >= read.ceiling:
        assert above is not None, "somebody raised the floor"
        overwrite = next(version for version in history.versions if version.revision == read.ceiling)
        reason = f"stale read: {read.key} was overwritten at revision {read.ceiling:g} before the read began"
        raise Conviction(reason, read, overwrite, above)
    return read.revision or 0


def _place_absence(read: Entry, above: Entry | None, gaps: Sequence[tuple[int, float]]) -> int:
    place = next((gap for gap in gaps if gap[1] > read.floor), None)
    if place is None:
        assert above is not None, "somebody raised the floor"
        raise Conviction(f"lost: {read.key} existed from before the read began, yet was absent", read, above)
    read.ceiling = gaps[-1][1]
    return place[0]
