"""What a leader knows of one follower: where its log ends, what is in flight, the snapshot under way.

The leader sends optimistically (it advances `next_index` when it sends, not when it is answered), as far as the
window allows. A rejection takes it back; rejections that were provoked by messages sent before that are ignored,
or a pipeline of rejected messages would be sent again once for each of them.
"""

from __future__ import annotations

from collections import deque
from operator import itemgetter

from ha.raft.messages import Entry
from ha.raft.snapshots import Transfer

__all__ = ["Progress"]

WINDOW_BYTES = 4 << 20
_command = itemgetter(0)


class Progress:
    """One follower, as its leader sees it."""

    def __init__(self, next_index: int, learner: int = 0) -> None:
        self.next_index = next_index
        self.learner = learner
        """Its disk, if it is a learner's; 0: a member's."""
        self.answered_sequence = 0
        self.transfer: Transfer | None = None
        self._ignore_before = 0
        self._in_flight: deque[tuple[int, int]] = deque()
        self._in_flight_bytes = 0

    @property
    def has_room(self) -> bool:
        """Whether more entries may be sent before some are acknowledged."""
        return self._in_flight_bytes < WINDOW_BYTES

    def on_sent(self, entries: list[Entry]) -> None:
        """Entries left; go on after them."""
        size = sum(map(len, map(_command, entries)))
        self.next_index = entries[-1][1] + 1
        self._in_flight.append((entries[-1][1], size))
        self._in_flight_bytes += size

    def on_answer(self, sequence: int) -> None:
        """The follower answered a message of this round."""
        self.answered_sequence = max(self.answered_sequence, sequence)

    def on_match(self, match_index: int) -> None:
        """The follower's log matches this far."""
        self.next_index = max(self.next_index, match_index + 1)
        while self._in_flight and self._in_flight[0][0] <= match_index:
            self._in_flight_bytes -= self._in_flight.popleft()[1]

    def on_reject(self, sequence: int, next_index: int, *, next_sequence: int) -> bool:
        """The follower's log differs: go back. False when this was dealt with already."""
        if sequence < self._ignore_before:
            return False
        self.restart(next_index, next_sequence=next_sequence)
        return True

    def retry_transfer(self, sequence: int) -> bool:
        """A later round than that of the last chunk was answered, so the chunk or its answer is lost: send it again."""
        transfer = self.transfer
        if transfer is None or not transfer.is_waiting or sequence <= transfer.sent_sequence:
            return False
        transfer.is_waiting = False
        return True

    def restart(self, next_index: int, *, next_sequence: int) -> None:
        """Send again from an index; what is in flight is lost or will be rejected."""
        self.next_index = next_index
        self._ignore_before = next_sequence
        self._in_flight.clear()
        self._in_flight_bytes = 0
        if self.transfer is not None:
            self.transfer.offset, self.transfer.is_waiting = 0, False
