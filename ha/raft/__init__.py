"""The replicated log: PySyncObj made safe, its journal on disk, its peers, its driver; and PySyncObj as it is.

Read in this order: `replica` (what callers use, and the driver), `core` (consensus, sans-IO, with the list of what
was put right) and `elections`, `binding` (the only file that knows PySyncObj's insides), `journal` and `records`
(what is durable, and how it lies on disk), `transport` and `frames` (how members talk), `sessions` (exactly once),
`reads` (ReadIndex), `waiting` (how callers and the driver wait). The other engine, stock PySyncObj behind the same
interface (`engines`), is `stock`, `stock_seams`, `stock_files` and `stock_transport`.
"""

from ha.raft.engines import ENGINES, Engine, open_engine
from ha.raft.errors import (
    JournalCorruptError,
    NoLeaderError,
    NotInTimeError,
    OutcomeUnknownError,
    OverloadedError,
    RaftError,
    TooLargeError,
)
from ha.raft.leadership import Role
from ha.raft.replica import MAX_COMMAND_BYTES, Replica, StateMachine, Status
from ha.raft.stock import StockReplica

__all__ = [
    "ENGINES",
    "MAX_COMMAND_BYTES",
    "Engine",
    "JournalCorruptError",
    "NoLeaderError",
    "NotInTimeError",
    "OutcomeUnknownError",
    "OverloadedError",
    "RaftError",
    "Replica",
    "Role",
    "StateMachine",
    "Status",
    "StockReplica",
    "TooLargeError",
    "open_engine",
]
