"""What the tests of `ha.etcd` share: a replica without peers, a member without a disk, a real etcd."""

from __future__ import annotations

import base64
import functools
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, cast

import orjson
import pytest
import trio
from msgspec.structs import replace

from ha import http
from ha.etcd import member
from ha.etcd.machine import EtcdMachine
from ha.etcd.service import EtcdService, Reads
from ha.raft import NotInTimeError, Status
from ha.world import Address, Processes
from ha.world.real.disk import RealDisk
from ha.world.real.foreign import ForeignProgramError, find_etcd
from ha.world.real.host import Log, RealHost
from ha.world.real.net import LoopbackNetwork, Subnet
from tests.fakes.world import FakeWorld

NAMES = ("a", "b", "c")


REQUEST_TIMEOUT_S = 7.0


class LocalReplica:
    """Implements `ha.raft.Engine` for one member that is alone: applies what is proposed at once.

    `fault` makes it refuse; `status` is what it knows of the cluster; `stalled` makes it answer nothing in time.
    """

    def __init__(self, machine: EtcdMachine, *, name: str = "a") -> None:
        self.machine = machine
        self.status = Status(name, name, 1, 0, 0, "leader", 0, 0)
        self.fault: Exception | None = None
        self.stalled = False
        self.proposed: list[bytes] = []
        self.barriers = 0
        self._changed = trio.Event()

    async def propose(self, command: bytes) -> object:
        await self._answerable()
        self.proposed.append(command)
        index = self.status.applied_index + 1
        self.status = replace(self.status, commit_index=index, applied_index=index, last_log_index=index)
        return self.machine.apply(index, command)

    async def read_barrier(self) -> None:
        await self._answerable()
        self.barriers += 1

    @property
    def term(self) -> int:
        return self.status.term

    @property
    def knows_leader(self) -> bool:
        return self.status.leader is not None

    async def wait_status_change(self, seen: Status) -> Status:
        while (seen.leader, seen.term, seen.role) == (self.status.leader, self.status.term, self.status.role):
            await self._changed.wait()
        return self.status

    def become(self, role: str, *, term: int, leader: str | None) -> None:
        self.status = replace(self.status, role=role, term=term, leader=leader)
        self._changed.set()
        self._changed = trio.Event()

    async def _answerable(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.fault is not None:
            raise self.fault
        if self.stalled:
            await trio.sleep(REQUEST_TIMEOUT_S)
            raise NotInTimeError


def make_service(
    machine: EtcdMachine | None = None, *, election_s: float = 1.0, reads: Reads = "engine"
) -> tuple[EtcdService, LocalReplica]:
    """A service on a replica that is alone and leads."""
    machine = machine or EtcdMachine()
    replica = LocalReplica(machine)
    service = EtcdService(
        replica,
        machine,
        random=Random(1),
        election_s=election_s,
        lease_ttl_min_s=2,
        request_timeout_s=REQUEST_TIMEOUT_S,
        reads=reads,
    )
    return service, replica


def configs(world: FakeWorld, names: Sequence[str] = NAMES, **settings: Any) -> dict[str, member.Config]:
    """Configurations of a cluster, by member."""
    members = {name: f"{world.address(name)}:2380" for name in names}
    urls = {name: f"{world.address(name)}:2379" for name in names}
    return {name: member.Config(name=name, members=members, client_urls=urls, **settings) for name in names}


async def start_member(world: FakeWorld, config: member.Config) -> None:
    """Run a member on the node of its name."""
    await world.start(config.name, partial(_serve, config), process="etcd")


async def _serve(config: member.Config, host: Any, *, task_status: Any) -> None:
    await member.serve(host, config, task_status=task_status)


async def start_cluster(world: FakeWorld, names: Sequence[str] = NAMES, **settings: Any) -> list[Address]:
    """Run a cluster; the client addresses of its members."""
    cluster = configs(world, names, **settings)
    for config in cluster.values():
        await start_member(world, config)
    return [Address.parse(config.client_urls[config.name]) for config in cluster.values()]


@asynccontextmanager
async def our_member(directory: Path, **settings: Any) -> AsyncIterator[Address]:
    """One member of ours on loopback, in this process and in real time: beside a real etcd. Its client address."""
    subnet = Subnet.claim()
    ip = subnet.node(0)
    try:
        host = RealHost(
            node="a",
            process="etcd",
            address=ip,
            subnet="",
            net=LoopbackNetwork(ip),
            disk=RealDisk(directory / "ours"),
            processes=cast("Processes", None),  # a member starts none
            random=Random(1),
            log=Log(2),
        )
        address = Address(ip, 2379)
        config = member.Config(name="a", members={"a": f"{ip}:2380"}, client_urls={"a": str(address)}, **settings)
        async with trio.open_nursery() as nursery:
            await nursery.start(member.serve, host, config)
            yield address
            nursery.cancel_scope.cancel()
    finally:
        subnet.release()


# The real thing


class Sockets:
    """Implements `ha.world.Network` on loopback, to reach a real etcd."""

    async def dial(self, address: Address) -> trio.SocketStream:
        return await trio.open_tcp_stream(address.ip, address.port)

    async def listen(self, port: int) -> Any:
        raise NotImplementedError(port)


@functools.cache
def etcd_binary() -> str:
    """The path of a real etcd. Skips the test when there is none, and fails it in CI, which must install one."""
    try:
        return find_etcd().path
    except ForeignProgramError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have a real etcd: {error}")
        pytest.skip(f"no real etcd here: {error}; {error.advice}")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_real_etcd(directory: Path, name: str, peers: Mapping[str, int], client_port: int) -> subprocess.Popen[bytes]:
    """Start one member of a real cluster whose members have these peer ports."""
    peer, client = f"http://127.0.0.1:{peers[name]}", f"http://127.0.0.1:{client_port}"
    flags = {
        "name": name,
        "data-dir": str(directory / name),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": ",".join(f"{n}=http://127.0.0.1:{port}" for n, port in peers.items()),
        "heartbeat-interval": "20",
        "election-timeout": "200",
        "experimental-watch-progress-notify-interval": "200ms",
        "log-level": "fatal",
    }
    command = [etcd_binary(), "--unsafe-no-fsync", *(f"--{flag}={value}" for flag, value in flags.items())]
    with (directory / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


@asynccontextmanager
async def real_etcd(directory: Path) -> AsyncIterator[Address]:
    """A real etcd with one member; its client address."""
    peer_port, client_port = free_ports(2)
    process = start_real_etcd(directory, "a", {"a": peer_port}, client_port)
    address = Address("127.0.0.1", client_port)
    try:
        await until_healthy(address)
        yield address
    finally:
        process.kill()
        process.wait()


async def until_healthy(address: Address) -> None:
    """Wait until a real member serves."""
    client = http.Client(Sockets(), address)
    with trio.fail_after(20):
        while True:
            try:
                if (await client.request("GET", "/health", timeout_s=2)).status == 200:
                    break
            except http.HttpError:
                pass
            await trio.sleep(0.02)
    await client.aclose()


# Asking


def b64(text: str | bytes) -> str:
    """Text as the API writes bytes."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


class Asking:
    """Asks one gateway and reads its JSON."""

    def __init__(self, client: http.Client) -> None:
        self.client = client

    async def ask(self, path: str, body: object) -> tuple[int, Any]:
        """Status and decoded answer (of a stream: its first line)."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        answer = await self.client.request("POST", path, body=data, timeout_s=10)
        first = answer.body.split(b"\n")[0]
        return answer.status, orjson.loads(first) if first.startswith(b"{") else first.decode()

    async def watch(self, body: object, *, until: int) -> list[Any]:
        """The first lines of a watch, until there are so many events, or it ended, or is silent."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        lines: list[Any] = []
        rest = b""
        async with self.client.stream("POST", "/v3/watch", body=data, connect_timeout_s=5) as response:
            with trio.move_on_after(1.0):
                async for piece in response:
                    *whole, rest = (rest + piece).split(b"\n")
                    lines += [orjson.loads(line) for line in whole if line]
                    if sum(len(line.get("result", {}).get("events", ())) for line in lines) >= until:
                        break
        return lines
