"""The one file that knows PySyncObj's insides. Everything else in this package uses the names given here.

PySyncObj 0.3.17 keeps its consensus in private members of one class, ``SyncObj``. A private method is
overridden by defining its mangled name in a subclass; those names hold for exactly this version, so the version
is asserted. What is *kept* of it: the order of a tick (election, commit rule, step-down, apply, heartbeat), the
transitions between roles, and the granting and counting of votes. What is *replaced*: how time passes, how the
log is stored, what is sent, and how appends, snapshots and acknowledgements are handled (`ha.raft.core` says why).

Rebound globals of ``pysyncobj.syncobj``: one.

* ``monotonicTime`` becomes `_now`, which asks the clock of the core that is being entered. Each entry point of the
  core names its own clock first (`StockRaft.enter`), so cores with different clocks can live in one process, and
  nothing in here knows which clock it is. Inside of an entry the time stands still: what is done on one message is
  done at one time, and the clock is asked once.

Nothing else leaks: the log, the poller and the transport are put in place of PySyncObj's own after its
constructor ran (with ``autoTick`` off it starts no thread and opens no file); its randomness is overridden; its
serializer, command queue, forwarding, pickling, ``@replicated``, and change of membership are never reached.
"""
# ruff: noqa: N802  (PySyncObj's own names)

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

from pysyncobj import SyncObjConf, syncobj
from pysyncobj.node import Node
from pysyncobj.transport import Transport
from pysyncobj.version import VERSION

from ha.raft.journal import NO_OP, Journal
from ha.raft.messages import Entry, Message, RequestVote, Vote

__all__ = ["CANDIDATE", "FOLLOWER", "LEADER", "REGULAR", "Outbox", "Peer", "StockRaft", "use_clock"]

assert VERSION == "0.3.17", f"the private names in this file are those of PySyncObj 0.3.17, not {VERSION}"

FOLLOWER: int = syncobj._RAFT_STATE.FOLLOWER  # noqa: SLF001  (pinned version)
CANDIDATE: int = syncobj._RAFT_STATE.CANDIDATE  # noqa: SLF001  (pinned version)
LEADER: int = syncobj._RAFT_STATE.LEADER  # noqa: SLF001  (pinned version)
REGULAR = bytes([syncobj._COMMAND_TYPE.REGULAR])  # noqa: SLF001  (pinned version)
assert bytes([syncobj._COMMAND_TYPE.NO_OP]) == NO_OP  # noqa: SLF001  (pinned version)


def _standing_still() -> float:
    return 0.0


_clock: Callable[[], float] = _standing_still


def _now() -> float:
    return _clock()


def use_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """Make this the clock that PySyncObj sees; returns the one that it saw before."""
    global _clock
    before, _clock = _clock, clock
    return before


syncobj.monotonicTime = _now


class Peer(Node):  # type: ignore[misc]  # PySyncObj is untyped
    """A member as PySyncObj knows it. Its hash is stable: that of str differs between processes."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._hash = zlib.crc32(name.encode())

    def __hash__(self) -> int:
        return self._hash


class _Peers(frozenset[Peer]):
    """PySyncObj iterates over sets of nodes, once for each entry that it commits; this one has an order."""

    _in_order: list[Peer]

    def __new__(cls, peers: Iterable[Peer]) -> Self:
        self = super().__new__(cls, peers)
        self._in_order = sorted(frozenset.__iter__(self), key=lambda peer: str(peer.id))
        return self

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._in_order)

    def __or__(self, other: Iterable[Any]) -> _Peers:
        return _Peers([*self, *other])

    def copy(self) -> _Peers:
        return self


class Outbox(Transport):  # type: ignore[misc]  # PySyncObj is untyped
    """What the core wants sent. `early` may leave before this member's disk is synced, `held` only after.

    A leader's appends promise nothing about the leader's own disk (thesis 10.2.1); everything else does.
    """

    def __init__(self) -> None:
        super().__init__(None, None, None)
        self.early: list[tuple[str, Message]] = []
        self.held: list[tuple[str, Message]] = []

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        """PySyncObj sends: in what is kept of it, only votes and requests for votes."""
        if message["type"] == "request_vote":
            request = RequestVote(message["term"], message["last_log_index"], message["last_log_term"])
            self.held.append((node.id, request))
        else:
            assert message["type"] == "response_vote", f"PySyncObj was left to send {message['type']}"
            self.held.append((node.id, Vote(message["term"])))
        return True


class _Log:
    """The journal, under the names by which PySyncObj uses a log."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._entries = journal.entries

    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, command: bytes, index: int, term: int) -> None:
        self._journal.append(command, index, term)

    def setCurrentTerm(self, term: int, vote: str | None) -> None:
        self._journal.set_term(term, vote)

    def setRaftCommitIndex(self, index: int) -> None:
        """Not stored: the commit index is volatile (paper, figure 2)."""

    def onOneSecondTimer(self) -> None:
        """PySyncObj's chance to save; saving is the driver's."""


class _NoPoller:
    def poll(self, timeout: float) -> None:
        """PySyncObj's chance to wait; waiting is the driver's."""


class StockRaft(syncobj.SyncObj):  # type: ignore[misc]  # PySyncObj is untyped
    """SyncObj with its inside under plain names, and with the hooks that `ha.raft.core` fills in."""

    _SyncObj__raftLeader: Peer | None

    def __init__(
        self, name: str, peers: Sequence[str], journal: Journal, clock: Callable[[], float], conf: SyncObjConf
    ) -> None:
        self.outbox = Outbox()
        self.journal = journal
        self._clock = clock
        self.now = clock()
        """The time at which this core was entered last."""
        self.peers = {peer: Peer(peer) for peer in sorted(peers)}
        self.enter()
        others = list(self.peers.values())
        super().__init__(Peer(name), others, conf=conf, transport=self.outbox, nodeClass=Peer)
        self._poller = _NoPoller()
        self._SyncObj__otherNodes = _Peers(others)
        self._SyncObj__raftLog = _Log(journal)
        self._SyncObj__raftCurrentTerm = max(journal.term, journal.entries[-1][2])
        self._SyncObj__votedForNodeId = journal.vote
        start = journal.snapshot.index if journal.snapshot is not None else journal.first_index
        self._SyncObj__raftCommitIndex = self._SyncObj__raftLastApplied = start

    def enter(self) -> None:
        """Make this core's clock the one that PySyncObj sees; every entry point begins with it."""
        self.now = self._clock()
        use_clock(self._time_of_entry)

    def _time_of_entry(self) -> float:
        return self.now

    # -- PySyncObj's state under plain names ---------------------------------------------------------------

    @property
    def role(self) -> int:
        """One of FOLLOWER, CANDIDATE, LEADER."""
        return int(self._SyncObj__raftState)

    @property
    def is_leader(self) -> bool:
        """Whether this member believes to lead: others may, too, in a later term."""
        return bool(self._SyncObj__raftState == LEADER)

    @property
    def leader(self) -> str | None:
        """Whom this member follows, itself included."""
        node = self._SyncObj__raftLeader
        return None if node is None else str(node.id)

    @property
    def term(self) -> int:
        """The current term."""
        return int(self._SyncObj__raftCurrentTerm)

    @property
    def commit_index(self) -> int:
        """The highest index known to be committed."""
        return int(self._SyncObj__raftCommitIndex)

    @property
    def applied_index(self) -> int:
        """The highest index applied to the state machine."""
        return int(self._SyncObj__raftLastApplied)

    @property
    def first_index_of_term(self) -> int:
        """Index of the no-op with which this member began to lead (0: it never did)."""
        return int(self._SyncObj__noopIDx or 0)

    @property
    def cluster_size(self) -> int:
        """Members, this one included."""
        return len(self.peers) + 1

    def follow(self, node: Peer, term: int) -> None:
        """Recognise a leader: adopt its term, reset the election timer, become its follower."""
        if node is self._SyncObj__raftLeader and term == self._SyncObj__raftCurrentTerm and self.role == FOLLOWER:
            self.set_election_deadline(self.now + self.election_timeout_s())  # all that is left to do
            return
        self._SyncObj__onMessageReceived(node, {"type": "append_entries", "term": term, "commit_index": 0})

    def consider_vote(self, node: Peer, message: RequestVote) -> None:
        """Answer RequestVote by the rules of the paper."""
        self._SyncObj__onMessageReceived(
            node,
            {
                "type": "request_vote",
                "term": message.term,
                "last_log_index": message.last_index,
                "last_log_term": message.last_term,
            },
        )

    def count_vote(self, node: Peer, message: Vote) -> None:
        """Count a vote; lead when it makes a majority."""
        self._SyncObj__onMessageReceived(node, {"type": "response_vote", "term": message.term})

    def step_down(self, term: int) -> None:
        """Adopt a later term without a leader."""
        self._SyncObj__setCurrentTerm(term, None)
        self._SyncObj__setState(FOLLOWER)
        self._SyncObj__raftLeader = None

    def refuse_votes_of_term(self) -> None:
        """Vote for nobody in the current term: the vote is this member's own."""
        self._SyncObj__setCurrentTerm(self.term, str(self._SyncObj__selfNode.id))

    def forget_leader(self) -> None:
        """Follow nobody until a leader is heard."""
        self._SyncObj__raftLeader = None

    def commit_to(self, index: int) -> None:
        """A follower learns that entries are committed."""
        self._SyncObj__raftCommitIndex = max(self.commit_index, index)

    def skip_to(self, index: int) -> None:
        """The state machine was replaced by a snapshot: everything up to `index` is applied."""
        self._SyncObj__raftLastApplied = index
        self.commit_to(index)

    def heard_from(self, node: Peer, match_index: int) -> None:
        """A follower answered, and its log matches this far."""
        self._SyncObj__lastResponseTime[node] = self.now
        self._SyncObj__raftMatchIndex[node] = max(self._SyncObj__raftMatchIndex[node], match_index)

    def forget_match(self, node: Peer) -> None:
        """Nothing is known of a follower's log any more."""
        self._SyncObj__raftMatchIndex[node] = 0

    def match_index(self, node: Peer) -> int:
        """How far a follower's log is known to equal this one."""
        return int(self._SyncObj__raftMatchIndex[node])

    def set_election_deadline(self, at: float) -> None:
        """When a follower stops waiting for its leader."""
        self._SyncObj__raftElectionDeadline = at

    def set_heartbeat_deadline(self, at: float) -> None:
        """When a leader sends again."""
        self._SyncObj__newAppendEntriesTime = at

    def timer(self) -> float:
        """When the next tick is due if nothing else happens. PySyncObj's comparisons are strict: just after."""
        due = self._SyncObj__newAppendEntriesTime if self.is_leader else self._SyncObj__raftElectionDeadline
        return math.nextafter(due, math.inf)

    def entry(self, command: bytes) -> Entry:
        """Append a proposal to the leader's log."""
        entry = (REGULAR + command, self.journal.last_index + 1, self.term)
        self.journal.append(*entry)
        return entry

    # -- hooks: what PySyncObj asks, and the core answers ---------------------------------------------------

    def may_campaign(self) -> bool:
        """The election timer has expired."""
        raise NotImplementedError

    def election_timeout_s(self) -> float:
        """Draw how long to wait for a leader."""
        raise NotImplementedError

    def on_leading(self) -> None:
        """Elected; the no-op is not yet appended."""
        raise NotImplementedError

    def send_appends(self) -> None:
        """Send what is due to every peer."""
        raise NotImplementedError

    def apply_entry(self, command: bytes) -> None:
        """Apply the entry after `applied_index`."""
        raise NotImplementedError

    def end_tick(self) -> None:
        """Last step of a tick but one, after committing and applying."""
        raise NotImplementedError

    def compact_if_due(self) -> None:
        """Last step of a tick."""
        raise NotImplementedError

    def _SyncObj__connectedToAnyone(self) -> bool:
        return self.may_campaign()

    def _SyncObj__generateRaftTimeout(self) -> float:
        return self.election_timeout_s()

    def _SyncObj__onBecomeLeader(self) -> None:
        self.on_leading()
        super()._SyncObj__onBecomeLeader()

    def _SyncObj__sendAppendEntries(self) -> None:
        self.send_appends()

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        self.apply_entry(command)

    def _checkCommandsToApply(self) -> None:
        self.end_tick()

    def _SyncObj__tryLogCompaction(self) -> None:
        self.compact_if_due()
