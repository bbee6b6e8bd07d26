"""The process of one etcd member: a replica of the log, the store on top of it, the JSON gateway in front.

``serve`` wires and runs; it is started when clients can connect. A member answers from its own memory, so
it has nothing to store but the log, which is `ha.raft`'s. It raises when its disk fails or its journal is
damaged: a member that cannot keep its promises must not go on.
"""

from __future__ import annotations

from functools import partial
from math import ceil

import msgspec
import trio

from ha import http
from ha.etcd.api import Member
from ha.etcd.gateway import Gateway, Timing
from ha.etcd.identity import cluster_id, member_id
from ha.etcd.machine import EtcdMachine
from ha.etcd.service import EtcdService, Reads
from ha.etcd.watch import WatchHub
from ha.etcd.wire import Encoder
from ha.raft import Engine, JournalCorruptError, open_engine
from ha.world import Address, Host

__all__ = ["REFUSED", "SERVING", "Config", "serve"]

SERVING, REFUSED = "serving clients", "refused to start"
"""What a member's log says when it can be asked, and when its journal is damaged."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One member of a static cluster. Addresses are ``"ip:port"``; `members` and `client_urls` name all members."""

    name: str
    members: dict[str, str]
    """Name → peer address."""
    client_urls: dict[str, str]
    """Name → client address. This member listens on the port of its own."""
    cluster_token: str = "etcd-cluster"  # noqa: S105  (etcd's name for it; tells clusters apart, protects nothing)
    heartbeat_s: float = 0.1
    election_s: float = 1.0
    engine: str = "pysyncobj"
    reads: Reads = "engine"
    snapshot_every: int = 10_000
    """Log entries between snapshots, at least: a large state is written anew when a multiple of it was logged."""
    progress_s: float = 1.0
    """How often a quiet watch is told how far it has come, if it asked."""
    request_timeout_s: float | None = None
    """How long a request may wait for consensus; None: 5 s and two election timeouts, as in etcd."""


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run a member until cancelled. Raises OSError, `ha.raft.JournalCorruptError`, ValueError for a bad config."""
    machine = EtcdMachine()
    timing = Timing(
        election_s=config.election_s,
        progress_s=config.progress_s,
        request_timeout_s=config.request_timeout_s or 5 + 2 * config.election_s,
    )
    replica = _engine(host, config, machine, timing)
    service = EtcdService(
        replica,
        machine,
        random=host.random,
        election_s=timing.election_s,
        lease_ttl_min_s=ceil(1.5 * timing.election_s),
        request_timeout_s=timing.request_timeout_s,
        reads=config.reads,
    )
    gateway = _gateway(host, config, service, WatchHub(machine), timing)
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(replica.run)
        except JournalCorruptError as error:
            host.log(REFUSED, error=str(error))
            raise
        await nursery.start(service.run)
        listener = await host.net.listen(Address.parse(config.client_urls[config.name]).port)
        await nursery.start(partial(http.serve, listener, gateway.handle, log=host.log, wall_clock=host.wall_clock))
        host.log(SERVING, address=config.client_urls[config.name])
        task_status.started()


def _engine(host: Host, config: Config, machine: EtcdMachine, timing: Timing) -> Engine:
    peers = {name: Address.parse(address) for name, address in config.members.items()}
    return open_engine(
        config.engine,
        host,
        name=config.name,
        peers=peers,
        machine=machine,
        heartbeat_s=config.heartbeat_s,
        election_s=config.election_s,
        cluster_token=config.cluster_token,
        peer_port=peers[config.name].port,
        snapshot_every=config.snapshot_every,
        request_timeout_s=timing.request_timeout_s,
    )


def _gateway(host: Host, config: Config, service: EtcdService, hub: WatchHub, timing: Timing) -> Gateway:
    ids = {name: member_id(address, config.cluster_token) for name, address in config.members.items()}
    members = {
        name: Member(ids[name], name, [f"http://{address}"], [f"http://{config.client_urls[name]}"])
        for name, address in sorted(config.members.items())
    }
    others = {
        name: http.Client(host.net, Address.parse(address))
        for name, address in config.client_urls.items()
        if name != config.name
    }
    encoder = Encoder(cluster_id(ids.values()), ids[config.name])
    return Gateway(service, hub, encoder, members, others, timing)
