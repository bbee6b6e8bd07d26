"""What a forked process does: shed the zygote, become a program of a node, run it, say how it ended.

It begins as a copy of the zygote, so it resets what it must not share: signal handlers, file descriptors,
standard streams, randomness. It never returns into the zygote's loop.

The life of the process hangs on three ends, whichever comes first: its program (returned: exit code 0;
raised: traceback in the log, exit code 1), SIGTERM (cancels the program; exit code 0), the zygote (its death
kills this process at once through `ha.world.real.lifeline`; the end of its connection ends it as well).

SIGTERM arrives blocked, from the zygote, and is let through when the program can be cancelled, so that a
process that is terminated while it starts ends as orderly as any other.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import trio

from ha.world.real import wire
from ha.world.real.books import Books
from ha.world.real.disk import RealDisk, Trouble
from ha.world.real.disturbances import Disturbances
from ha.world.real.host import Log, RealHost, WallClock
from ha.world.real.lifeline import die_with_parent, set_process_title
from ha.world.real.link import Link
from ha.world.real.links import Links
from ha.world.real.net import LoopbackNetwork
from ha.world.real.processes import NodeProcesses
from ha.world.real.programs import Program

__all__ = ["Birth", "run"]

_STDERR = 2


@dataclass(frozen=True, slots=True)
class Birth:
    """All that makes this process another one than the zygote."""

    node: str
    name: str
    address: str
    subnet: str
    program: Program
    config: object
    seed: int
    incarnation: int
    directory: Path
    zygote: int
    group: int
    """The process group of its node; 0: its own, it is the first."""
    control: socket.socket
    log_fd: int
    nodes: Mapping[str, str]
    subnets: Mapping[str, str]
    books: Books
    in_force: Sequence[wire.InForce]
    clocks: Mapping[str, wire.WrongClock]


def run(birth: Birth) -> NoReturn:
    """Be the process. The caller has forked and closed what it held."""
    code = 1
    try:
        die_with_parent(birth.zygote)
        os.setpgid(0, birth.group)  # the zygote does so as well: neither can know who comes first
        _reset_process(birth)
        code = trio.run(_main, birth)
    except BaseException:  # noqa: BLE001  (the end of the process: whatever it was, it goes to the log)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _reset_process(birth: Birth) -> None:
    set_process_title(birth.name)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(birth.log_fd, 1)
    os.dup2(birth.log_fd, _STDERR)
    kept = birth.control.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    random.seed(_stream(birth, "module"))


def _stream(birth: Birth, purpose: str) -> str:
    return f"{birth.seed}/{birth.node}/{birth.name}/{birth.incarnation}/{purpose}"


async def _main(birth: Birth) -> int:
    log = Log(_STDERR)
    code = 0
    log("process started", program=birth.program.name, pid=os.getpid(), incarnation=birth.incarnation)
    with trio.open_signal_receiver(signal.SIGTERM) as terminations:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        async with trio.open_nursery() as nursery:
            host, link = _new_host(birth, log, nursery.start_soon)
            nursery.start_soon(_follow_zygote, link, log)
            program = trio.CancelScope()
            nursery.start_soon(_cancel_on, terminations, program)
            try:
                with program:
                    await birth.program.serve(host, birth.config)
            except Exception:  # noqa: BLE001  (a crash of the program is its exit code)
                traceback.print_exc()
                code = 1
            nursery.cancel_scope.cancel()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # too late to matter
    log("process ended", code=code, terminated=program.cancel_called)
    return code


def _new_host(birth: Birth, log: Log, spawn: Callable[..., None]) -> tuple[RealHost, Link]:
    links = Links(
        birth.node,
        birth.nodes,
        birth.subnets,
        books=birth.books,
        random=random.Random(_stream(birth, "links")),  # noqa: S311  (reproducible on purpose)
        spawn=spawn,
    )
    disk, trouble, clock = birth.directory / "disks" / birth.node / birth.name, Trouble(birth.books), WallClock()
    disturbances = Disturbances(birth.node, birth.name, links, trouble, clock)
    disturbances.impose(birth.in_force, birth.clocks)
    link = Link(birth.control, disturbances.obey)
    host = RealHost(
        node=birth.node,
        process=birth.name,
        address=birth.address,
        subnet=birth.subnet,
        net=LoopbackNetwork(birth.address, links),
        disk=RealDisk(disk, trouble),
        processes=NodeProcesses(link, birth.node, disk),
        random=random.Random(_stream(birth, "host")),  # noqa: S311  (reproducible on purpose)
        log=log,
        clock=clock,
    )
    return host, link


async def _follow_zygote(link: Link, log: Log) -> None:
    why = await link.run()
    log("process ends with its world", why=why)
    os._exit(1)


async def _cancel_on(terminations: AsyncIterator[int], program: trio.CancelScope) -> None:
    async for _ in terminations:
        program.cancel()
