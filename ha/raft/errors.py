"""What can go wrong, named by fault. `definite` tells a client whether its command certainly had no effect."""

from __future__ import annotations

__all__ = [
    "JournalCorruptError",
    "NoLeaderError",
    "NotInTimeError",
    "OutcomeUnknownError",
    "OverloadedError",
    "RaftError",
    "TooLargeError",
]


class RaftError(Exception):
    """A request to the replicated log failed. `definite`: nothing was proposed and nothing will be applied."""

    definite: bool = False


class NoLeaderError(RaftError):
    """No leader was found in time; nothing was proposed."""

    definite = True


class NotInTimeError(RaftError):
    """No answer came in time. A command may have been applied, or be applied later."""


class TooLargeError(RaftError):
    """The command exceeds the limit of a log entry; nothing was proposed."""

    definite = True


class OverloadedError(RaftError):
    """Too many proposals wait already; this one was not added to them."""

    definite = True


class OutcomeUnknownError(RaftError):
    """The command was proposed and its answer is lost: it may have been applied, or be applied later."""


class JournalCorruptError(Exception):
    """The journal is damaged where it was durable: starting from what is left could lose acknowledged data.

    The member must be rebuilt from its peers, on an empty disk (`ha.raft.membership`), not restarted. The error names
    file and byte.
    """
