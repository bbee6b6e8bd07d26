"""The zygote: one single-threaded process that has imported every component and forks the processes of a run.

Why: a forked process is ready in a few milliseconds and shares the imported code (5-8 MB of its own, against
four times that and most of a second when it is spawned). Forking is only sound from a process with one
thread and no event loop running, so the zygote never starts trio and refuses a preload that starts threads.

It also is where everything about processes is serialised. It forks, joins process groups, signals, reaps and
keeps the `ha.world.real.table`, in one thread: a fork and a kill of the node never overlap, so whatever was
forked before the kill is in the group that it hits, and whatever was asked for before it is refused.

Connections: one from the supervisor, with authority over all nodes, and one from every process, with
authority over its own node. The zygote blocks on none of them: what a peer does not read is queued up to a
bound, then that peer is dropped. It does not read from a process that it paused, so that a paused machine
does not start things.

Its end: asked by the supervisor, or on the end of the supervisor's connection, it kills every group, reaps,
and exits. When it is killed itself, the kernel kills its children (`ha.world.real.lifeline`).
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import NoReturn

from ha.world import ProcessExit, ProcessInfo
from ha.world.real import child, programs, wire
from ha.world.real.books import Books
from ha.world.real.host import Log, open_log
from ha.world.real.lifeline import set_process_title
from ha.world.real.observation import NUMBERS, Observation
from ha.world.real.peer import Peer
from ha.world.real.table import Node, Table

__all__ = ["main"]

_STDERR = 2
_COLLECT_EVERY = 10_000
"""So many new objects that hold others are between two searches for circles among them. With Python's 700 a store
under load, which keeps much and makes few circles, spends 5 % of its time on them.
"""


class _Closed(Exception):  # noqa: N818  (the way out of the loop)
    """The world is over."""


class _Order:
    """A disturbance that processes were told of. `waiting`: for whom, by name; `numbers`: what is to be told of."""

    def __init__(self, waiting: dict[Peer, str], numbers: set[int]) -> None:
        self._waiting, self.numbers = waiting, numbers
        self.obeyed: dict[str, wire.Obeyed] = {}

    def obey(self, peer: Peer, how: wire.Obeyed) -> None:
        """One of them did it."""
        name = self._waiting.pop(peer, None)
        if name is not None:
            self.obeyed[name] = how

    def is_done(self) -> bool:
        """Whether all did that could."""
        return all(peer.closed or peer.muted for peer in self._waiting)


class Zygote:
    """See the module. `run` is the loop."""

    def __init__(self, control: socket.socket, setup: wire.Setup) -> None:
        self._setup = setup
        self._directory = Path(setup.directory)
        self._table = Table(setup.nodes)
        self._selector = selectors.DefaultSelector()
        self._observations: list[tuple[Peer, Observation]] = []
        self._books = Books(setup.nodes)
        self._in_force: list[wire.InForce] = []
        self._clocks: dict[str, wire.WrongClock] = {}
        self._orders: dict[int, _Order] = {}
        self._peers: dict[int, Peer] = {}
        """The connection of each process, by pid."""
        self._supervisor = Peer(control, None, self._selector)
        self._wakeup, wake = socket.socketpair()
        for end in (self._wakeup, wake):
            end.setblocking(False)
        self._wake = wake
        self._selector.register(self._wakeup, selectors.EVENT_READ, None)
        self._log = Log(_STDERR)

    def run(self) -> NoReturn:
        """Serve until the world is over."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.data is None:
                        self._wakeup.recv(4096)
                    else:
                        self._attend(key.data)
                self._reap()
                self._settle()
        except _Closed:
            self._kill_all()
        os._exit(0)

    def _attend(self, peer: Peer) -> None:
        """Do what is due on one connection. A peer that fails is dropped; the supervisor's end is ours."""
        if peer.closed:  # dropped earlier in this round
            return
        try:
            for body in peer.exchange():
                if not peer.closed:  # it may kill itself
                    self._answer(peer, wire.decode_request(body))
        except wire.WireError as error:
            self._log("dropped a peer", node=peer.node, why=str(error))
            peer.close()
        if self._supervisor.closed:
            raise _Closed

    def _answer(self, peer: Peer, request: wire.Request) -> None:
        reply: wire.Reply | None
        try:
            reply = self._do(peer, request)
        except ValueError as error:
            reply = wire.Failed(request.id, "value", str(error))
        except LookupError as error:
            reply = wire.Failed(request.id, "lookup", str(error))
        except OSError as error:
            reply = wire.Failed(request.id, "os", error.strerror or str(error), error.errno or 0)
        if reply is not None:
            peer.send(reply)

    def _do(self, peer: Peer, request: wire.Request) -> wire.Reply | None:
        """None: the reply follows when there is something to tell, or there is none."""
        match request:
            case wire.Start():
                return wire.Started(request.id, self._start(peer, request))
            case wire.List():
                return wire.Listed(request.id, self._node(peer, request.node).listing())
            case wire.SendSignal():
                return self._signal(peer, request)
            case wire.Disturb() if peer is self._supervisor:
                self._disturb(request)
            case wire.Obeyed():
                if request.id in self._orders:  # else it was paused, and nobody waits for it
                    self._orders[request.id].obey(peer, request)
            case wire.Close() if peer is self._supervisor:
                peer.send(wire.Closing(request.id))
                raise _Closed
            case _:
                raise wire.WireError(f"{type(request).__name__} from a process")
        return None

    def _node(self, peer: Peer, asked: str) -> Node:
        return self._table.node(asked if peer.node is None else peer.node)

    def _start(self, peer: Peer, request: wire.Start) -> ProcessInfo:
        node = self._node(peer, request.node)
        program = programs.load(request.program)
        config = program.decode(request.config)
        subnet, address = self._setup.subnets[node.name], request.address or node.address
        if request.address is not None and IPv4Address(address) not in IPv4Network(subnet):
            raise ValueError(f"{address} is not of {subnet}, the subnet of {node.name}")
        incarnation = self._table.admit(node, request.name, boot=request.boot and peer is self._supervisor)
        ours, theirs = socket.socketpair()
        log_fd = open_log(self._directory, node.name, request.name)
        birth = child.Birth(
            node=node.name,
            name=request.name,
            address=address,
            subnet=subnet,
            program=program,
            config=config,
            seed=self._setup.seed,
            incarnation=incarnation,
            directory=self._directory,
            zygote=os.getpid(),
            group=node.group or 0,
            control=theirs,
            log_fd=log_fd,
            nodes=self._setup.nodes,
            subnets=self._setup.subnets,
            books=self._books,
            in_force=self._in_force,
            clocks=self._clocks,
        )
        try:
            pid = os.fork()
            if pid == 0:
                child.run(birth)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(log_fd)
        info = ProcessInfo(name=request.name, pid=pid, program=request.program, labels=request.labels)
        group = self._table.add(node, info)
        with suppress(PermissionError):  # it has become another program meanwhile: it joined the group before that
            os.setpgid(pid, group)
        self._peers[pid] = Peer(ours, node.name, self._selector)
        return info

    def _signal(self, peer: Peer, request: wire.SendSignal) -> wire.Reply | None:
        """Signal a process, or the node's group in one system call. None: the reply follows when it was seen."""
        node = self._node(peer, request.node)
        chosen = node.select(request.name)
        number = NUMBERS[request.signal]
        whole = request.name is None
        observation = Observation(
            id=request.id,
            signal=request.signal,
            targets={name: info.pid for name, info in chosen.items()},
            group=node.group if whole else None,
        )
        if whole:
            assert node.group is not None, node
            os.killpg(node.group, number)
            node.up = node.up and request.signal != "kill"
        for info in chosen.values():
            if not whole:
                os.kill(info.pid, number)
            mate = self._peers[info.pid]
            if request.signal == "kill":
                mate.close()
            elif request.signal in ("pause", "resume"):
                mate.mute(request.signal == "pause")
        if not request.observe:
            return wire.Observed(request.id, {})
        self._observations.append((peer, observation))
        return None

    def _disturb(self, order: wire.Disturb) -> None:
        """Pass it on to the processes of its nodes; the reply follows when they obeyed."""
        nodes = [self._table.node(node) for node in order.nodes]
        known, now = ({one.number for one in in_force} for in_force in (self._in_force, order.in_force))
        for number in now - known:
            self._books.open(number)
        self._in_force, self._clocks = order.in_force, order.clocks
        waiting: dict[Peer, str] = {}
        for node in nodes:
            for info in node.processes.values():
                mate = self._peers[info.pid]
                mate.send(order)
                waiting[mate] = f"{node.name}/{info.name}"
        self._orders[order.id] = _Order(waiting, known | now)

    def _reap(self) -> None:
        """Collect the dead and tell the supervisor and their neighbours."""
        for pid, status in iter(_wait, None):
            found = self._table.remove(pid)
            if found is None:
                continue
            node, info = found
            self._peers.pop(pid).close()
            for _, observation in self._observations:
                observation.reaped(pid)
            code = os.waitstatus_to_exitcode(status)
            ended = ProcessExit(
                name=info.name,
                pid=pid,
                code=code if code >= 0 else None,
                signal=-code if code < 0 else None,
            )
            notice = wire.Exited(node.name, ended)
            for peer in (self._supervisor, *(self._peers[mate.pid] for mate in node.processes.values())):
                peer.send(notice)

    def _settle(self) -> None:
        """Answer the observations that came to an end."""
        open_ones = []
        for peer, observation in self._observations:
            outcome = observation.outcome()
            if outcome is not None:
                peer.send(outcome)
            elif not peer.closed:
                open_ones.append((peer, observation))
        self._observations = open_ones
        for number, order in list(self._orders.items()):
            if order.is_done():
                did = {known: self._books.read(known) for known in order.numbers}
                self._supervisor.send(wire.Disturbed(number, order.obeyed, did))
                del self._orders[number]

    def _kill_all(self) -> None:
        for node in self._table.nodes.values():
            if node.group is not None:
                os.killpg(node.group, signal.SIGKILL)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                return


def _wait() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def main(fd: int) -> NoReturn:
    """Be the zygote of the supervisor at the other end of `fd`. The lifeline is held already."""
    set_process_title("ha-zygote")
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # inherited: each process unblocks it when it can
    control = socket.socket(fileno=fd)
    setup = _receive_setup(control)
    started = time.monotonic()
    try:
        _preload(setup.preload)
    except ValueError as error:
        control.sendall(wire.frame(wire.Failed(0, "value", str(error))))
        os._exit(1)
    control.sendall(wire.frame(wire.Ready(time.monotonic() - started)))
    Zygote(control, setup).run()


def _receive_setup(control: socket.socket) -> wire.Setup:
    frames = wire.Frames()
    while data := control.recv(65536):
        for body in frames.feed(data):
            return wire.decode_setup(body)
    os._exit(0)  # the supervisor gave up before it asked for anything


def _preload(modules: list[str]) -> None:
    """Import, and make the result cheap to share. Raises ValueError."""
    for module in modules:
        programs.preload(module)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
