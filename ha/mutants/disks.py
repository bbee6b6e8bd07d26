"""Bugs of members whose disk lost something: rot that is not seen, a disk that was emptied."""
# ruff: noqa: SLF001  (a bug is planted inside)

from __future__ import annotations

from collections.abc import Sequence

from ha.mutants import Patch, mutant
from ha.raft import records
from ha.raft.journal import Journal
from ha.world import Disk

__all__: list[str] = []


@mutant("rot-accepted", "raft", "what a journal holds is read without a look at its checksums")
def _rot_accepted() -> Sequence[Patch]:
    def header_at(data: bytes, offset: int) -> tuple[int, int, int]:
        start = offset + records._HEADER_BYTES
        magic, length, _ = records._FIELDS.unpack(data[offset : offset + records._FIELDS.size].ljust(12, b"\0"))
        marked = data[start : start + length]
        return start, length if magic == records.MAGIC else 0, records._checksum(marked, offset)

    return [(records, "_header_at", header_at)]


@mutant(
    "empty-disk-votes", "raft", "a member whose disk is empty votes and counts at once, as if it had promised nothing"
)
def _empty_disk_votes() -> Sequence[Patch]:
    right = Journal.open.__func__  # type: ignore[attr-defined]

    async def open_(cls: type[Journal], disk: Disk, path: str, *, fresh_id: int | None = None) -> Journal:  # noqa: ARG001
        journal: Journal = await right(cls, disk, path)
        return journal

    return [(Journal, "open", classmethod(open_))]
