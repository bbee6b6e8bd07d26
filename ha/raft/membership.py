"""How a disk becomes that of a member: when a cluster is founded, and when a member lost its disk.

Raft lets a member that was down come back because it remembers: the votes that it gave, the entries that it
acknowledged. One whose disk was emptied or replaced remembers nothing, and must not be believed to: it could vote a
second time in a term, and a quorum that an acknowledged entry stands on would have a hole. Nor can it tell by itself
that it ever had a disk. So every disk has an identity, drawn when it is found empty and durable before anything is
said, and its owner is a **learner** (a non-voting server, thesis 4.2.1): it gives no votes and no pre-votes, does not
campaign, and proposes nothing. The leader sends it the log like anybody else; its answers count for nothing, neither
for a commit nor for a read index nor for staying in office. A learner becomes a member in one of two ways.

**Founding.** Nothing was ever acknowledged if at some moment *all* disks of the cluster were learners'. A learner asks
everybody (`WhoAreYou`). When all have answered that they are learners, it asks once more; when all give the same
answer with the same disks, all were learners at the moment in between. It then is a member, and remembers the disks of
that moment. It tells them to everybody, and to who asks, and a learner that finds its own disk among them is a member
as well: it was a learner at that moment, too, and still is. A crash on the way does no harm, for the identities are
durable.

**Admission.** A leader that is answered by a learner appends an entry that names it and its disk (`admission`). A
learner that applies an entry with its own disk's name, or restores a snapshot that has it, is a member. Why then it is
safe, with W the learner, T the term in which the entry was committed, F the majority of members that hold it (W is not
among them):

* *Entries.* What was ever acknowledged with the help of W's old disk in terms up to T is in the log of T's leader
  (paper 5.4.3: the votes of the old disk were good when they were given), before the entry: W's old disk acknowledged
  nothing after it was gone. So W holds it again, before it counts.
* *Votes up to T.* W does not vote in the term in which it becomes a member, which is at least T, nor in earlier ones.
* *Votes after T.* A candidate X that still holds a vote of the old disk in a later term was one before the disk was
  lost, so it does not have the entry. It lacks a vote from F, since all the others and W together are no majority.
  But whoever of F hears of that later term after it had the entry finds X's log behind its own (paper 5.4.1).

So the log itself is the memory of which disk a member has, and no configuration has to tell a new cluster from an old
one. The price: a new cluster waits for all its members; and of `2 f + 1` members f + 1 others must be up for one to
come back. If a majority loses its disks, what is left refuses to go on, which is right.

Rejected: telling it by configuration (etcd's ``initial-cluster-state``), which a static pod cannot change once the
cluster stands; becoming a member once the log is as long as the leader's, which forgets the votes; asking f + 1 others
what they know (Viewstamped Replication Revisited, 4.3), which is unsafe while a candidate holds votes of before
(Michael et al., "Recovering Shared Objects Without Stable Storage", DISC 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from pysyncobj import SyncObjConf

from ha.raft.binding import Peer, StockRaft
from ha.raft.journal import Journal
from ha.raft.messages import IAm, WhoAreYou

__all__ = ["Admission", "Membership", "admission", "read_admission"]

_ADMISSION = b"\x7f"
"""The type of the command, beside PySyncObj's own."""


class Admission(msgspec.Struct, frozen=True, array_like=True):
    """From this entry on the member has this disk."""

    member: str
    disk: int


def admission(member: str, disk: int) -> bytes:
    """The command of an entry that admits a learner."""
    return _ADMISSION + msgspec.msgpack.encode(Admission(member, disk))


def read_admission(command: bytes) -> Admission | None:
    """What a command admits; None: it is another one."""
    return msgspec.msgpack.decode(command[1:], type=Admission) if command[:1] == _ADMISSION else None


class Membership(StockRaft):
    """The part of a member that becomes one. Abstract: `ha.raft.elections` elects, `ha.raft.core` replicates."""

    def __init__(
        self, name: str, peers: Sequence[str], journal: Journal, clock: Callable[[], float], conf: SyncObjConf
    ) -> None:
        self.name = name
        self._round = 0
        self._answered: dict[str, int] = {}
        """Who answered this round that it is a learner, and its disk."""
        self._met: dict[str, int] = {}
        """What everybody answered, all together, before this round began."""
        super().__init__(name, peers, journal, clock, conf)

    @property
    def is_learner(self) -> bool:
        """Whether this is no member yet: it counts for nothing."""
        return self.journal.is_learner

    @property
    def _learner_disk(self) -> int:
        return self.journal.disk_id if self.journal.is_learner else 0

    def ask_everybody(self) -> None:
        """A learner asks whether a cluster can be founded."""
        self._round += 1
        self._answered = {}
        self.outbox.held += [(peer, WhoAreYou(self.journal.disk_id, self._round)) for peer in self.peers]
        self._found_if_agreed()

    def _on_who_are_you(self, node: Peer, message: WhoAreYou) -> None:
        self.outbox.held.append((node.id, self._who_i_am(message.round)))

    def _who_i_am(self, round_: int) -> IAm:
        return IAm(self.journal.disk_id, self.journal.is_learner, self.journal.founders, round_)

    def _on_i_am(self, node: Peer, message: IAm) -> None:
        if not self.is_learner:
            return
        if message.founders.get(self.name) == self.journal.disk_id:
            self.become_member(message.founders)
        elif message.is_learner and message.round == self._round:
            self._answered[str(node.id)] = message.disk
            self._found_if_agreed()

    def _found_if_agreed(self) -> None:
        if len(self._answered) < len(self.peers):
            return
        if self._answered == self._met:
            self.become_member({**self._met, self.name: self.journal.disk_id})
            self.outbox.held += [(peer, self._who_i_am(0)) for peer in self.peers]
        else:
            self._met = self._answered
            self.ask_everybody()

    def become_member(self, founders: dict[str, int]) -> None:
        """Count from now on; but whoever may have voted in this term does not vote in it again."""
        self.journal.become_member(founders)
        self.refuse_votes_of_term()
