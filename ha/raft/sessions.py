"""Exactly once: which requests were applied, as part of the replicated state.

A proposal may enter the log more than once (its member sends it again after every change of leadership), so each
carries who proposed it: the member, its incarnation (counted in its journal, so it only grows) and a sequence
number. A request is applied if it was not applied before. To keep the memory of that bounded, each also carries
the member's *floor*: the lowest sequence number that it still waits for. What is below the floor is given up or
answered, and will never be applied any more; nor is anything of an earlier incarnation, whose callers are gone.

A member that begins anew on an empty disk does not know how often it was started. Its admission by the log
(`ha.raft.membership`) skips more incarnations than a disk can live to see, so that whatever the old disk proposed and
is still under way comes too late, and the member counts on from there.

So the table holds, per member, one incarnation, one floor, and the applied numbers above it: at most as many as
the member proposed since the oldest one that it still waits for.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

__all__ = ["Request", "SessionRow", "Sessions"]

_OF_A_DISK = 1 << 32


class Request(msgspec.Struct, frozen=True, array_like=True):
    """A command with its identity, as it stands in the log."""

    member: str
    incarnation: int
    sequence: int
    floor: int
    command: bytes


class _Session:
    __slots__ = ("applied", "floor", "incarnation")

    def __init__(self, incarnation: int, floor: int) -> None:
        self.incarnation = incarnation
        self.floor = floor
        self.applied: set[int] = set()

    def raise_floor(self, floor: int) -> None:
        if floor - self.floor > len(self.applied):
            self.applied = {sequence for sequence in self.applied if sequence >= floor}
        else:
            self.applied.difference_update(range(self.floor, floor))
        self.floor = floor


SessionRow: TypeAlias = tuple[str, int, int, list[int]]
"""Member, incarnation, floor, and what was applied from it on."""


class Sessions:
    """The table. Deterministic: equal on members that admitted the same requests."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def admit(self, request: Request) -> bool:
        """Whether to apply a request now; it is not admitted again."""
        session = self._sessions.get(request.member)
        if session is None or request.incarnation > session.incarnation:
            session = self._sessions[request.member] = _Session(request.incarnation, request.floor)
        elif request.incarnation < session.incarnation:
            return False
        if request.floor > session.floor:
            session.raise_floor(request.floor)
        if request.sequence < session.floor or request.sequence in session.applied:
            return False
        session.applied.add(request.sequence)
        return True

    def begin_anew(self, member: str) -> None:
        """From now on the member proposes from an empty disk."""
        self._sessions[member] = _Session(((self.incarnation(member) // _OF_A_DISK) + 1) * _OF_A_DISK, 0)

    def incarnation(self, member: str) -> int:
        """The last one in which the member is known to have proposed, or the first one of its disk."""
        session = self._sessions.get(member)
        return 0 if session is None else session.incarnation

    def has_applied(self, member: str, incarnation: int, sequence: int) -> bool:
        """Whether a request at or above its member's floor was applied."""
        session = self._sessions.get(member)
        return session is not None and session.incarnation == incarnation and sequence in session.applied

    def rows(self) -> list[SessionRow]:
        """The whole table, sorted: what a snapshot holds of it."""
        return [
            (member, session.incarnation, session.floor, sorted(session.applied))
            for member, session in sorted(self._sessions.items())
        ]

    def restore(self, rows: list[SessionRow]) -> None:
        """Replace the table."""
        self._sessions = {}
        for member, incarnation, floor, applied in rows:
            session = self._sessions[member] = _Session(incarnation, floor)
            session.applied.update(applied)
