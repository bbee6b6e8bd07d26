"""Small programs that the tests of the real world run."""

from __future__ import annotations

import os
import random
import sys
import time
import uuid
from pathlib import Path

import msgspec
import orjson
import trio

from ha.world import Address, Host, Stream


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No configuration."""


class Echo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    port: int


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Start these others (name to program), then report to `report`."""

    start: dict[str, str] = {}
    report: str = ""


async def idle(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    task_status.started()
    try:
        await trio.sleep_forever()
    finally:
        host.log("cancelled")


async def deaf(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Does not end when it is asked to."""
    host.log("deaf")
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def stuck(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Never comes back to its event loop."""
    time.sleep(3600)  # noqa: ASYNC251  (the point of it)


async def done(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    sys.stdout.write("a line on stdout\n")


async def crash(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_raise)


async def _raise() -> None:
    raise RuntimeError("the reason of the crash")


async def echo(host: Host, config: Echo, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Answers each connection with the caller's address, then with what it sends."""
    listener = await host.net.listen(config.port)
    task_status.started()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(f"{stream.socket.getpeername()[0]}\n".encode())
            async for data in stream:
                await stream.send_all(data)

    await trio.serve_listeners(serve, [listener])


async def reveal(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Writes what it is to its disk."""
    facts = {
        "random": host.random.random(),
        "module_random": random.random(),
        "uuid": str(uuid.uuid4()),
        "descriptors": _descriptors(),
        "group": os.getpgid(0),
        "address": host.address,
        "argv": sys.argv,
    }
    await host.disk.replace(f"facts-{os.getpid()}", orjson.dumps(facts))


def _descriptors() -> list[str]:
    """What is open beside the standard streams (and the directory that is listed)."""
    paths = [path for path in list(Path("/proc/self/fd").iterdir()) if int(path.name) > 2 and path.is_symlink()]
    return sorted(str(path.readlink()) for path in paths)


async def keeper(host: Host, config: Ask, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """A small kubelet: starts what it should, adopts what runs, reports one JSON line, then every exit."""
    exits = host.processes.exits()
    running = {process.name: process for process in await host.processes.list()}
    adopted = sorted(running.keys() & config.start.keys())
    for name, program in config.start.items():
        if name not in running:
            running[name] = await host.processes.start(name, program, b"{}", labels={"keeper": host.process})
    if not config.report:
        await trio.sleep_forever()
    async with await host.net.dial(Address.parse(config.report)) as stream:
        listing = await host.processes.list()
        await stream.send_all(orjson.dumps({"adopted": adopted, "listing": listing}, default=_plain) + b"\n")
        async for exited in exits:
            await stream.send_all(orjson.dumps(exited, default=_plain) + b"\n")


def _plain(value: object) -> object:
    return msgspec.to_builtins(value)


async def trespass(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Tries to reach another node's process through its own process table."""
    try:
        await host.processes.signal("victim", "kill")
    except LookupError as error:
        await host.disk.replace("refused", str(error).encode())


async def babbler(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Sends garbage to the zygote."""
    await host.processes._link._stream.send_all(b"\0\0\0\x04evil")
    await trio.sleep_forever()


async def usurper(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Asks for the end of the world, which is the supervisor's to ask."""
    await host.processes._link.close()


async def spawner(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Starts processes as fast as it can."""
    number = 0
    while True:
        number += 1
        await host.processes.start(f"spawned-{number}", f"{__name__}:idle", b"{}")


async def landlord(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Starts two echoes on one port, each with an address of this node's subnet, and tries one of another's."""
    first, _, _ = host.subnet.rpartition(".")
    for name, last in (("one", 1), ("two", 2)):
        await host.processes.start(name, f"{__name__}:echo", b'{"port": 7000}', address=f"{first}.{last}")
    try:
        await host.processes.start("three", f"{__name__}:echo", b'{"port": 7000}', address=host.address)
    except ValueError as error:
        await host.disk.replace("refused", str(error).encode())


class Bridge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    port: int
    to: str


async def bridge(host: Host, config: Bridge, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Passes what it is sent to another node, and back."""
    listener = await host.net.listen(config.port)

    async def serve(client: trio.SocketStream) -> None:
        async with client, await host.net.dial(Address.parse(config.to)) as server, trio.open_nursery() as nursery:
            nursery.start_soon(copy, client, server, nursery.cancel_scope)
            nursery.start_soon(copy, server, client, nursery.cancel_scope)

    async def copy(source: Stream, sink: Stream, scope: trio.CancelScope) -> None:
        try:
            async for data in source:
                await sink.send_all(data)
        except trio.BrokenResourceError:
            pass
        scope.cancel()

    await trio.serve_listeners(serve, [listener])


_OTHER = """
import json, os, signal
facts = {
    "pid": os.getpid(),
    "cwd": os.getcwd(),
    "environment": sorted(set(os.environ) - {"LC_CTYPE"}),
    "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd)),
}
open("facts.tmp", "w").write(json.dumps(facts))
os.rename("facts.tmp", "facts")
print("the other one speaks", flush=True)
while True:
    signal.pause()
"""


async def becomes(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Becomes another program, which tells what it finds."""
    host.processes.execute([sys.executable, "-I", "-S", "-c", _OTHER])


async def becomes_grep(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    host.processes.execute(["/bin/grep", "^Sig", "/proc/self/status"])


async def cannot_become(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    host.processes.execute(["/nowhere/to-be-found"])


async def journalist(host: Host, config: Nothing, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Appends and syncs until its disk fails."""
    file = host.disk.open("journal")
    while True:
        file.append(b"news")
        await file.sync()
        await trio.sleep(0.005)


async def clock(host: Host, config: Echo, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Tells whoever connects what time it is."""
    listener = await host.net.listen(config.port)

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(repr(host.wall_clock()).encode())

    await trio.serve_listeners(serve, [listener])
