"""The messages of the members, in the words of the Raft paper. Immutable data; msgpack arrays on the wire.

`sequence` numbers the leader's rounds of sending. Every answer echoes it with the term, so that an answer can
be matched to what it answers: an acknowledgement that was delayed over an election is recognised as stale, a
rejection that was provoked before a repair is ignored, and a round that a majority answered confirms leadership.
An append of round `NO_ANSWER` is not answered: it only tells how far the log is committed.

A member whose disk was empty is a *learner* (`ha.raft.membership`), and says so in every answer by its disk's identity.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

__all__ = [
    "NO_ANSWER",
    "Append",
    "Appended",
    "Entry",
    "Forward",
    "Heartbeat",
    "HigherTerm",
    "IAm",
    "Message",
    "PreVote",
    "PreVoteGranted",
    "RaftMessage",
    "ReadAnswer",
    "ReadRequest",
    "Rejected",
    "RequestVote",
    "SnapshotChunk",
    "SnapshotReceived",
    "Vote",
    "WhoAreYou",
]

NO_ANSWER = 0
Entry: TypeAlias = tuple[bytes, int, int]
"""One entry of the log, shaped as PySyncObj holds it: (command, index, term)."""


class _Message(msgspec.Struct, frozen=True, array_like=True, tag_field="type"):
    pass


class PreVote(_Message, frozen=True, tag="pre_vote"):
    """Would you vote for me in this term? Changes nothing (thesis 9.6). `round` tells attempts apart."""

    term: int
    last_index: int
    last_term: int
    round: int


class PreVoteGranted(_Message, frozen=True, tag="pre_vote_granted"):
    """Yes, I would."""

    term: int
    round: int


class RequestVote(_Message, frozen=True, tag="request_vote"):
    """RequestVote RPC (paper, figure 2)."""

    term: int
    last_index: int
    last_term: int


class Vote(_Message, frozen=True, tag="vote"):
    """The vote of this term is yours. There is no negative answer."""

    term: int


class HigherTerm(_Message, frozen=True, tag="higher_term"):
    """You are behind: this is the current term."""

    term: int


class Append(_Message, frozen=True, tag="append"):
    """AppendEntries RPC. Without entries it is the heartbeat, and verifies the log up to `previous_index`."""

    term: int
    sequence: int
    commit_index: int
    previous_index: int
    previous_term: int
    entries: list[Entry]


class Heartbeat(_Message, frozen=True, tag="heartbeat"):
    """I lead. Says nothing about the log: sent while a snapshot is under way."""

    term: int
    sequence: int


class Appended(_Message, frozen=True, tag="appended"):
    """My log equals yours up to `match_index`, durably (0: the heartbeat said nothing about the log)."""

    term: int
    sequence: int
    match_index: int
    learner: int = 0
    """The disk of a learner, whose answer counts for nothing; 0: it is a member."""


class Rejected(_Message, frozen=True, tag="rejected"):
    """My log differs from yours before what you sent: go on from `next_index`."""

    term: int
    sequence: int
    next_index: int
    learner: int = 0


class SnapshotChunk(_Message, frozen=True, tag="snapshot_chunk"):
    """InstallSnapshot RPC: bytes from `offset` of a snapshot of `total_bytes` that replaces the log up to `index`."""

    term: int
    sequence: int
    index: int
    index_term: int
    offset: int
    total_bytes: int
    checksum: int
    data: bytes


class SnapshotReceived(_Message, frozen=True, tag="snapshot_received"):
    """I hold the first `offset` bytes of that snapshot. All of them: it is installed, durably."""

    term: int
    sequence: int
    index: int
    offset: int
    learner: int = 0


class WhoAreYou(_Message, frozen=True, tag="who_are_you"):
    """My disk was empty: are you a member? `round` tells attempts apart."""

    disk: int
    round: int


class IAm(_Message, frozen=True, tag="i_am"):
    """My disk is called `disk`; a learner's like yours, or a member's, which founded the cluster with `founders`."""

    disk: int
    is_learner: bool
    founders: dict[str, int]
    round: int


class Forward(_Message, frozen=True, tag="forward"):
    """Proposals of a follower for the leader, in order."""

    requests: list[bytes]


class ReadRequest(_Message, frozen=True, tag="read_request"):
    """A follower asks the leader for a read index."""

    id: int


class ReadAnswer(_Message, frozen=True, tag="read_answer"):
    """Reads that began before the request are linearizable once `index` is applied."""

    id: int
    index: int


RaftMessage: TypeAlias = (
    PreVote
    | PreVoteGranted
    | RequestVote
    | Vote
    | HigherTerm
    | Append
    | Heartbeat
    | Appended
    | Rejected
    | SnapshotChunk
    | SnapshotReceived
    | WhoAreYou
    | IAm
)
"""Between the cores."""

Message: TypeAlias = RaftMessage | Forward | ReadRequest | ReadAnswer
"""Between the members."""
