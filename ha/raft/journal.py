"""What a member must not forget: term and vote, log, snapshot, which disk this is, and how often it was started.

The journal is the log that the core reads and writes, in memory, and at the same time the queue of what is not
durable yet. Nothing that the core does touches the disk; the driver calls `sync` before it lets any message out
that promises something, and `sync` writes everything since the last one as one batch (group commit) and waits
for it.

Two ways to become durable:

* `append`, `truncate`, `set_term` add records to the file (`ha.raft.records`).
* `compact` and `install` change what the file begins with: a new generation of the whole file (incarnation, disk, term
  and vote, snapshot, entries) takes the place of the old one atomically. Snapshot and log can therefore never disagree,
  which is how stock PySyncObj loses acknowledged writes when it is killed between renaming a dump and cutting its
  journal. `install` throws the log away, so the next `sync` writes all of it. `compact` loses nothing: log and file
  go on as they are while `rewrite`, in a task of its own, makes the snapshot piece by piece and writes the new file
  beside the old one, with rests, for a large one takes longer than an election. What was recorded meanwhile follows
  likewise, until little of it is left; the next `sync` adds that and lets the new file take over. Only then does the
  log become shorter: until then it is held whole, and what was recorded meanwhile twice.

The log always begins with one entry that is never sent or applied: it stands for everything before it (index 1,
term 0 in a new cluster), so that "the entry before" exists for every other entry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import trio

from ha.raft.errors import JournalCorruptError
from ha.raft.messages import Entry
from ha.raft.records import (
    Kind,
    Record,
    encode_batch,
    encode_first_batch,
    encode_record,
    read_batches,
    read_records,
    record_head,
)
from ha.world import Disk, File
from ha.world.resting import REST, rest

__all__ = ["NO_OP", "Journal", "Snapshot"]

NO_OP = b"\x01"
"""A command that does nothing, as PySyncObj writes it: its first byte is the command's type."""
_LITTLE_BYTES = 1 << 20
"""So much is appended and synced in one go: that takes some milliseconds."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after applying every entry up to `index`, whose term was `term`, in pieces: it may be large."""

    index: int
    term: int
    pieces: list[bytes]

    @property
    def size_bytes(self) -> int:
        """Of the state."""
        return sum(map(len, self.pieces))


@dataclass(slots=True)
class _Generation:
    """What a file begins with, and what was recorded since. `file` is where it is written, beside the one in use."""

    head: list[bytes]
    """The records before snapshot and entries."""
    snapshot: Snapshot | None
    entries: list[Entry]
    missing: Iterable[bytes] = ()
    """Pieces of the snapshot that are not made yet."""
    is_begun: bool = False
    file: File | None = None
    since: deque[bytes] = field(default_factory=deque)
    since_bytes: int = 0

    def note(self, record: bytes) -> None:
        """Something is recorded, in the file in use."""
        self.since.append(record)
        self.since_bytes += len(record)

    def take_since(self) -> bytes:
        """The first of what was recorded since, for a batch."""
        taken: list[bytes] = []
        left = self.since_bytes
        while self.since and left - self.since_bytes < _LITTLE_BYTES:
            taken.append(self.since.popleft())
            self.since_bytes -= len(taken[-1])
        return b"".join(taken)

    def encode(self) -> list[bytes]:
        """The file without what was recorded since, in pieces."""
        parts = [b"".join(self.head)]
        if (snapshot := self.snapshot) is not None:
            parts.append(record_head(Kind.SNAPSHOT, snapshot.index, snapshot.term, snapshot.size_bytes))
            parts += snapshot.pieces
        entries = [encode_record(Kind.ENTRY, index, term, command) for command, index, term in self.entries]
        return encode_first_batch([*parts, b"".join(entries)])


class Journal:
    """One member's durable state. `entries` is the log; change it through the methods only."""

    def __init__(self) -> None:
        self.entries: list[Entry] = [(NO_OP, 1, 0)]
        self.term = 0
        self.vote: str | None = None
        self.snapshot: Snapshot | None = None
        self.incarnation = 0
        self.disk_id = 0
        """Which disk this is: another one for a disk that was emptied or replaced."""
        self.is_learner = False
        """Whether the disk was found empty, and is no member's yet (`ha.raft.membership`)."""
        self.founders: dict[str, int] = {}
        """The disks of all members, if this is one that founded the cluster."""
        self.bytes_since_rewrite = 0
        self._unsynced: list[bytes] = []
        self._must_rewrite = True
        self._next: _Generation | None = None
        self._disk: Disk | None = None
        self._path = ""
        self._file: File | None = None
        self._end = 0

    # -- open --------------------------------------------------------------------------------------------

    @classmethod
    async def open(cls, disk: Disk, path: str, *, fresh_id: int | None = None) -> Journal:
        """Recover from disk, or begin a new journal; counts the incarnation. Durable when it returns.

        A disk that is found empty is called `fresh_id`, and is a learner's; None: it is a member's at once.
        Raises JournalCorruptError when what was durable is damaged, OSError when the disk fails.
        """
        journal = cls()
        journal._disk, journal._path = disk, path
        try:
            data = disk.read(path)
        except FileNotFoundError:
            journal.incarnation = 1
            journal.disk_id, journal.is_learner = fresh_id or 0, fresh_id is not None
        else:
            try:
                journal._recover(data)
            except JournalCorruptError as error:
                way_back = "on an empty disk this member is sent what the others hold"
                raise JournalCorruptError(f"{path}: {error}; {way_back}") from error
            journal.set_incarnation(journal.incarnation + 1)
        await journal.sync()
        return journal

    def _recover(self, data: bytes) -> None:
        assert self._disk is not None
        self.entries = []
        bodies, end = read_batches(data)
        for body in bodies:
            for record in read_records(body):
                self._replay(record)
        if not self.entries or self.entries[0][1] > (self.snapshot.index if self.snapshot else 1):
            raise JournalCorruptError("the journal's log does not begin where its snapshot ends")
        self._must_rewrite = False
        self._end = end
        self.bytes_since_rewrite = end - (self.snapshot.size_bytes if self.snapshot else 0)
        self._file = self._disk.open(self._path)
        if len(data) > end:
            self._file.truncate(end)

    def _replay(self, record: Record) -> None:
        if record.kind is Kind.ENTRY:
            if self.entries and record.a != self.last_index + 1:
                raise JournalCorruptError(f"entry {record.a} follows entry {self.last_index} in the journal")
            self.entries.append((record.payload, record.a, record.b))
        elif record.kind is Kind.TRUNCATE:
            del self.entries[record.a - self.first_index :]
        elif record.kind is Kind.VOTE:
            self.term, self.vote = record.a, record.payload.decode() or None
        elif record.kind is Kind.SNAPSHOT:
            self.snapshot = Snapshot(record.a, record.b, [record.payload])
        elif record.kind is Kind.DISK:
            self.disk_id, self.is_learner = record.a, not record.b
            self.founders = msgspec.msgpack.decode(record.payload, type=dict[str, int])
        else:
            self.incarnation = record.a

    # -- read --------------------------------------------------------------------------------------------

    @property
    def first_index(self) -> int:
        """Index of the entry that stands for everything before the log."""
        return self.entries[0][1]

    @property
    def last_index(self) -> int:
        """Index of the last entry."""
        return self.entries[-1][1]

    def term_at(self, index: int) -> int:
        """Term of an entry between `first_index` and `last_index`."""
        return self.entries[index - self.entries[0][1]][2]

    def slice(self, first: int, max_bytes: int) -> list[Entry]:
        """Entries from an index on, at least one of them, until their commands reach `max_bytes`."""
        start = first - self.entries[0][1]
        end, size = start, 0
        while end < len(self.entries) and (end == start or size < max_bytes):
            size += len(self.entries[end][0])
            end += 1
        return self.entries[start:end]

    @property
    def is_dirty(self) -> bool:
        """Whether anything waits for `sync`."""
        return self._must_rewrite or bool(self._unsynced) or self._is_next_written

    @property
    def is_being_rewritten(self) -> bool:
        """Whether the last `compact` has not had its effect on disk and log yet."""
        return self._next is not None

    @property
    def wants_rewriting(self) -> bool:
        """Whether there is something to do for `rewrite`."""
        return self._next is not None and not self._next.is_begun

    @property
    def _is_next_written(self) -> bool:
        return self._next is not None and self._next.file is not None

    # -- change ------------------------------------------------------------------------------------------

    def append(self, command: bytes, index: int, term: int) -> None:
        """Add an entry at the end."""
        assert index == self.last_index + 1, f"entry {index} after {self.last_index}"
        self.entries.append((command, index, term))
        self._put(encode_record(Kind.ENTRY, index, term, command))

    def truncate(self, first: int) -> None:
        """Remove an entry and all after it."""
        assert first > self.first_index, f"entry {first} is not in the log any more"
        del self.entries[first - self.first_index :]
        self._put(encode_record(Kind.TRUNCATE, first))

    def set_term(self, term: int, vote: str | None) -> None:
        """Record the current term and whom this member votes for in it."""
        assert term > self.term or (term == self.term and self.vote in (None, vote)), "a vote is given once"
        self.term, self.vote = term, vote
        self._put(encode_record(Kind.VOTE, term, 0, (vote or "").encode()))

    def set_incarnation(self, incarnation: int) -> None:
        """Record how often the member was started."""
        self.incarnation = incarnation
        self._put(encode_record(Kind.INCARNATION, incarnation))

    def become_member(self, founders: dict[str, int]) -> None:
        """Record that this disk is a member's from now on."""
        assert self.is_learner, "a member does not become one"
        self.is_learner, self.founders = False, founders
        self._put(self._disk_record())

    def compact(self, index: int, state: Iterable[bytes], keep_from: int) -> None:
        """Put the state after the entry at `index` in place of the entries before `keep_from`, once it is durable.

        `state` gives its pieces, when the log may be longer already.
        """
        assert self.first_index <= keep_from <= index, "a snapshot and its log must meet"
        self._drop_next()
        entries = self.entries[keep_from - self.first_index :]
        self._next = self._generation(Snapshot(index, self.term_at(index), []), entries, state)
        self.bytes_since_rewrite = 0

    def install(self, snapshot: Snapshot) -> None:
        """Put a snapshot in place of the whole log."""
        self.snapshot = snapshot
        self.entries[:] = [(NO_OP, snapshot.index, snapshot.term)]
        self._must_rewrite = True
        self._unsynced.clear()
        self.bytes_since_rewrite = 0
        self._drop_next()

    def _put(self, record: bytes) -> None:
        self._unsynced.append(record)
        if self._next is not None:
            self._next.note(record)
        self.bytes_since_rewrite += len(record)

    def _generation(
        self, snapshot: Snapshot | None, entries: list[Entry], missing: Iterable[bytes] = ()
    ) -> _Generation:
        head = [
            encode_record(Kind.INCARNATION, self.incarnation),
            self._disk_record(),
            encode_record(Kind.VOTE, self.term, 0, (self.vote or "").encode()),
        ]
        return _Generation(head, snapshot, entries, missing)

    def _drop_next(self) -> None:
        if self._next is not None and self._next.file is not None:
            self._next.file.close()
        self._next = None

    # -- make durable ------------------------------------------------------------------------------------

    async def rewrite(self) -> None:
        """Write what the last `compact` wants beside the file in use. The journal may be changed and synced meanwhile.

        Raises OSError when the disk fails: the member must stop.
        """
        following = self._next
        if following is None or following.is_begun:
            return
        assert self._disk is not None
        assert following.snapshot is not None, "a compaction has one"
        following.is_begun = True
        begun_s = trio.current_time()
        for piece in following.missing:
            following.snapshot.pieces.append(piece)
            await rest(begun_s)
            if following is not self._next:
                return  # a snapshot was installed meanwhile
            begun_s = trio.current_time()
        file = await self._disk.prepare(self._path, following.encode)
        try:
            await self._catch_up(following, file)
        except BaseException:
            file.close()
            raise
        if following is self._next:
            following.file = file
        else:
            file.close()

    async def _catch_up(self, following: _Generation, file: File) -> None:
        """Let the new file have what was recorded meanwhile. The rests get shorter, and end: whoever records fast would
        keep it from ever taking over.
        """
        for times in (REST, 1, 0):
            left = following.since_bytes
            while following is self._next and left > _LITTLE_BYTES:
                begun_s = trio.current_time()
                records = following.take_since()
                left -= len(records)
                file.append(encode_batch(records, file.size_bytes))
                await file.sync()
                await rest(begun_s, times)

    async def sync(self) -> None:
        """Make everything so far durable. The journal must not be changed meanwhile.

        Raises OSError when the disk fails: what is durable is then unknown, and the member must stop.
        """
        if self._must_rewrite:
            await self._write_generation()
        elif self._next is not None and self._next.file is not None:
            await self._take_over(self._next, self._next.file)
        elif self._unsynced:
            assert self._file is not None
            batch = encode_batch(b"".join(self._unsynced), self._end)
            self._unsynced.clear()
            self._file.append(batch)
            self._end += len(batch)
            await self._file.sync()

    async def _write_generation(self) -> None:
        assert self._disk is not None
        data = b"".join(self._generation(self.snapshot, self.entries).encode())
        await self._disk.replace(self._path, data)
        self._must_rewrite = False
        self._use(self._disk.open(self._path), len(data))

    async def _take_over(self, following: _Generation, file: File) -> None:
        assert self._disk is not None
        while following.since:
            file.append(encode_batch(following.take_since(), file.size_bytes))
        await self._disk.publish(self._path, file)
        self._cut(following)
        self._use(file, file.size_bytes)

    def _cut(self, following: _Generation) -> None:
        self.snapshot = following.snapshot
        del self.entries[: following.entries[0][1] - self.first_index]
        self._next = None

    def _use(self, file: File, end: int) -> None:
        self._unsynced.clear()
        if self._file is not None:
            self._file.close()
        self._file, self._end = file, end

    def _disk_record(self) -> bytes:
        founders = msgspec.msgpack.encode(self.founders, order="deterministic")
        return encode_record(Kind.DISK, self.disk_id, not self.is_learner, founders)

    def close(self) -> None:
        """Close the file without syncing."""
        self._drop_next()
        if self._file is not None:
            self._file.close()
