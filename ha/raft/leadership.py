"""Who leads, as one member believes: what its callers look at and wait for, whatever the engine."""

from __future__ import annotations

from typing import Literal, TypeAlias

import trio

from ha.raft.errors import NoLeaderError

__all__ = ["Leadership", "Role"]

Role: TypeAlias = Literal["leader", "follower", "candidate"]


class Leadership:
    """Leader, term and role, and those who wait for them to change."""

    def __init__(self) -> None:
        self.leader: str | None = None
        self.term = 0
        self.role: Role = "follower"
        self._changed = trio.Event()

    def notice(self, leader: str | None, term: int, role: Role) -> bool:
        """Set all three, and wake who waits if that changed any. Whether it did."""
        if (leader, term, role) == (self.leader, self.term, self.role):
            return False
        self.leader, self.term, self.role = leader, term, role
        self._changed.set()
        self._changed = trio.Event()
        return True

    def end(self) -> None:
        """The member stops: it follows nobody. Nobody is woken."""
        self.leader, self.role = None, "follower"

    async def wait_change(self, leader: str | None, term: int, role: Role) -> None:
        """Wait until one of the three differs from what was seen."""
        while (leader, term, role) == (self.leader, self.term, self.role):
            await self._changed.wait()

    async def wait_leader(self, timeout_s: float) -> None:
        """Wait until there is a leader. Raises NoLeaderError."""
        if self.leader is not None:
            return
        with trio.move_on_after(timeout_s):
            while self.leader is None:
                await self._changed.wait()
        if self.leader is None:
            raise NoLeaderError("no leader was elected within two election timeouts")
