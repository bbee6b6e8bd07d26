"""What keeps members agreed, by the name that a topology gives it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import Protocol

import trio

from ha.raft.replica import Replica, StateMachine, Status
from ha.raft.stock import StockReplica
from ha.world import Address, Host

__all__ = ["ENGINES", "Engine", "open_engine"]


class Engine(Protocol):
    """One member of a replicated state machine; `ha.raft.Replica` says more about each part."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Recover from disk, join the cluster, and take part until cancelled."""
        ...

    async def propose(self, command: bytes) -> object:
        """Replicate a command and return the machine's answer. Raises RaftError, also when it takes too long."""
        ...

    async def read_barrier(self) -> None:
        """Wait until local reads are as consistent as the engine makes them. Raises RaftError, as `propose`."""
        ...

    @property
    def status(self) -> Status:
        """What this member knows of the cluster."""
        ...

    @property
    def term(self) -> int:
        """The current term."""
        ...

    @property
    def digests(self) -> list[tuple[int, int]]:
        """Indexes that were applied here, each with a digest of all that was applied up to it; perhaps none."""
        ...

    @property
    def knows_leader(self) -> bool:
        """Whether proposals have somewhere to go."""
        ...

    async def wait_status_change(self, seen: Status) -> Status:
        """Wait until leader, term or role differ from what was seen."""
        ...


ENGINES: Mapping[str, type[Replica | StockReplica]] = MappingProxyType(
    {"pysyncobj": Replica, "pysyncobj-stock": StockReplica}
)


def open_engine(
    engine: str,
    host: Host,
    *,
    name: str,
    peers: Mapping[str, Address],
    machine: StateMachine,
    heartbeat_s: float,
    election_s: float,
    cluster_token: str,
    peer_port: int,
    snapshot_every: int,
    request_timeout_s: float = inf,
) -> Engine:
    """One member on the engine of this name. Raises ValueError if there is none, or for what cannot work."""
    if engine not in ENGINES:
        raise ValueError(f"no such engine: {engine!r}; there are {', '.join(ENGINES)}")
    return ENGINES[engine](
        host,
        name=name,
        peers=peers,
        machine=machine,
        heartbeat_s=heartbeat_s,
        election_s=election_s,
        cluster_token=cluster_token,
        peer_port=peer_port,
        snapshot_every=snapshot_every,
        request_timeout_s=request_timeout_s,
    )
