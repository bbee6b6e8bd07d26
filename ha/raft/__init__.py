"""The replicated log: PySyncObj made safe, its journal on disk, its peers, its driver.

Read in this order: `replica` (what callers use, and the driver), `core` (consensus, sans-IO, with the list of what
was put right) and `elections`, `binding` (the only file that knows PySyncObj's insides), `journal` and `records`
(what is durable, and how it lies on disk), `transport` and `frames` (how members talk), `sessions` (exactly once),
`reads` (ReadIndex).
"""

from ha.raft.errors import (
    JournalCorruptError,
    NoLeaderError,
    OutcomeUnknownError,
    OverloadedError,
    RaftError,
    TooLargeError,
)
from ha.raft.replica import MAX_COMMAND_BYTES, Replica, Role, StateMachine, Status

__all__ = [
    "MAX_COMMAND_BYTES",
    "JournalCorruptError",
    "NoLeaderError",
    "OutcomeUnknownError",
    "OverloadedError",
    "RaftError",
    "Replica",
    "Role",
    "StateMachine",
    "Status",
    "TooLargeError",
]
