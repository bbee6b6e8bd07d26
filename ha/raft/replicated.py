"""What the log makes of a member: the caller's state, which disks its members have, and what it applied so far.

The *digest* is a running checksum over every entry that was applied (index, term, command), from the first one on; a
snapshot carries it on. Members that applied the same entries have the same digest at the same index, and one that is
started anew computes it again from its own journal. So digests show from outside whether committed entries ever
differ between two members, or change on one, though entries themselves are long gone into a snapshot.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

import msgspec

from ha.raft.binding import REGULAR
from ha.raft.membership import read_admission

__all__ = ["Machine", "Replicated"]

STEP = 64
"""At multiples of this index digests are remembered, by all members the same."""
REMEMBERED = 256
_PLACE = struct.Struct("<QQ")


class Machine(Protocol):
    """The replicated state, as the core sees it."""

    def apply(self, index: int, command: bytes) -> None:
        """Apply a committed command. Must not raise: what one member cannot apply, none can."""
        ...

    def admit(self, member: str) -> None:
        """A member begins anew on an empty disk."""
        ...

    def snapshot(self) -> Iterator[bytes]:
        """The whole state as it is now, in parts; see `ha.raft.StateMachine`."""
        ...

    def restore(self, parts: Iterator[bytes]) -> None:
        """Replace the whole state."""
        ...


class _State(msgspec.Struct, frozen=True, array_like=True):
    """The first part; the others are the machine's."""

    digest: int
    disks: list[tuple[str, int]]


class Replicated:
    """Applies entries in order. `digests`: some of the indexes of late, each with the digest up to it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.disks: dict[str, int] = {}
        """Of each member that was admitted, its disk."""
        self.digest = 0
        self.digests: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)

    def apply(self, index: int, term: int, command: bytes) -> None:
        """Apply the next entry; the no-op of a new term has no effect."""
        self.digest = zlib.crc32(command, zlib.crc32(_PLACE.pack(index, term), self.digest))
        if index % STEP == 0:
            self.digests.append((index, self.digest))
        if command[:1] == REGULAR:
            self._machine.apply(index, command[1:])
        elif (admitted := read_admission(command)) and self.disks.get(admitted.member) != admitted.disk:
            self.disks[admitted.member] = admitted.disk
            self._machine.admit(admitted.member)

    def snapshot(self) -> Iterator[bytes]:
        """The whole state as it is now, in parts of msgpack. Equal states give equal bytes."""
        state = _State(self.digest, sorted(self.disks.items()))
        return chain([_encode(state)], self._machine.snapshot())

    def restore(self, parts: Iterator[bytes]) -> None:
        """Replace the whole state."""
        state = _decode(next(parts))
        self.digest, self.disks = state.digest, dict(state.disks)
        self._machine.restore(parts)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode
