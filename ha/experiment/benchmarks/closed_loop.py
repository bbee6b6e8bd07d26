"""Clients that cost next to nothing: each asks again as soon as it is answered, all of them by one epoll.

What is measured is a server, and the clients share its machine: each microsecond that they take for a request is
missing there. So these have no tasks, no streams and no deadlines of their own, and no more of HTTP than where an
answer ends.
"""

from __future__ import annotations

import select
import socket  # noqa: TID251  (real connections to real servers, as cheap as can be)
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, thread_time  # noqa: TID251  (what requests cost is real time)
from typing import Self

import httptools

from ha.experiment.benchmarks import CannotMeasureError
from ha.world import Address

__all__ = ["ClosedLoop", "Taken"]

_ANSWER_S = 10.0
_RECEIVE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Taken:
    """What the requests of a loop took."""

    each_s: list[float]
    total_s: float
    core_s: float
    """Of a core, by the clients."""


class _Client:
    """One connection. `number` is that of the request which it waits for."""

    __slots__ = ("_is_answered", "_parser", "asked_s", "number", "socket")

    def __init__(self, address: Address, source: str, number: int) -> None:
        self.socket = socket.create_connection(address, timeout=_ANSWER_S, source_address=(source, 0))
        self.socket.settimeout(None)  # which would cost a system call each time; epoll tells when something is there
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self.asked_s = 0.0
        self._is_answered = False
        self._parser = httptools.HttpResponseParser(self)

    def on_message_complete(self) -> None:
        """Called by httptools: the answer is whole."""
        self._is_answered = True

    def ask(self, request: bytes) -> None:
        """Send a request. It is small, and nothing else is under way: the kernel takes it at once."""
        self.asked_s = perf_counter()
        self.socket.sendall(request)

    def take(self) -> bool:
        """Receive; whether that was the end of the answer. Raises CannotMeasureError for one that should not be."""
        try:
            data = self.socket.recv(_RECEIVE_BYTES)
            self._parser.feed_data(data)
        except (OSError, httptools.HttpParserError) as error:
            raise CannotMeasureError(f"the server broke a connection: {error}") from error
        if not data:
            raise CannotMeasureError("the server closed a connection")
        if not self._is_answered:
            return False
        self._is_answered = False
        if self._parser.get_status_code() != 200:
            raise CannotMeasureError(f"the server answered {data[:300]!r}")
        return True


class ClosedLoop:
    """So many clients of one server, or shared out among several that serve the same, as a context. Blocks; to be
    called in a thread. `requests` are whole requests of HTTP, which the clients take by turns. Every connection is
    open, and was used once, when it has been entered.

    Raises CannotMeasureError when the server does not answer as it should.
    """

    def __init__(self, servers: Sequence[Address], source: str, requests: Sequence[bytes], *, clients: int) -> None:
        self._servers, self._source, self._requests, self._amount = servers, source, requests, clients
        self._clients: dict[int, _Client] = {}
        self._epoll = select.epoll()

    def __enter__(self) -> Self:
        try:
            for number in range(self._amount):
                client = _Client(self._servers[number % len(self._servers)], self._source, number)
                self._clients[client.socket.fileno()] = client
                self._epoll.register(client.socket, select.EPOLLIN)
            self.run(0.0)
        except OSError as error:
            self._close()
            raise CannotMeasureError(f"{self._names}: {error}") from error
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, duration_s: float) -> Taken:
        """Let each ask, and ask again as soon as it is answered, for so long; then wait for the last answers."""
        requests, amount, each_s = self._requests, self._amount, list[float]()
        core_s, begun_s = thread_time(), perf_counter()
        end_s = begun_s + duration_s
        for client in self._clients.values():
            client.ask(requests[client.number % len(requests)])
        waiting = amount
        while waiting:
            ready = self._epoll.poll(_ANSWER_S)
            if not ready:
                raise CannotMeasureError(f"{self._names}: {waiting} requests were not answered in {_ANSWER_S} s")
            for descriptor, _ in ready:
                client = self._clients[descriptor]
                if client.take():
                    now_s = perf_counter()
                    each_s.append(now_s - client.asked_s)
                    client.number += amount
                    if now_s < end_s:
                        client.ask(requests[client.number % len(requests)])
                    else:
                        waiting -= 1
        return Taken(each_s, perf_counter() - begun_s, thread_time() - core_s)

    @property
    def _names(self) -> str:
        return ", ".join(map(str, self._servers))

    def _close(self) -> None:
        self._epoll.close()
        for client in self._clients.values():
            client.socket.close()
