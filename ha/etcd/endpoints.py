"""The members that a client knows, in the order in which to ask them, and what it suspects of each.

See `ha.etcd.client` for the reasons. One `Endpoints` per client; no tasks of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NoReturn

import trio

from ha.http import Client, HttpError, Response
from ha.world import Address, Dialler, Network, Stream

__all__ = ["Endpoint", "Endpoints", "UnresponsiveError"]


class UnresponsiveError(Exception):
    """The member stopped answering while a request was under way; its outcome is unknown."""


class Endpoint:
    """One member: connections to it, and when it last answered or failed (trio's clock)."""

    def __init__(self, net: Network, address: Address, *, patience_s: float) -> None:
        self.address = address
        self.http = Client(_BoundedDial(net, patience_s), address, max_idle=64)
        self.answered_s = -inf
        self.failed_s = -inf
        self._patience_s = patience_s
        self._waiting: dict[trio.CancelScope, float] = {}

    @property
    def is_fresh(self) -> bool:
        """Whether it answered so recently that it may be trusted with a write."""
        return self.answered_s > self.failed_s and self.answered_s + self._patience_s > trio.current_time()

    def answered(self) -> None:
        """It answered."""
        self.answered_s = trio.current_time()

    def failed(self) -> None:
        """It refused, or cannot serve."""
        self.failed_s = trio.current_time()

    def stopped_answering(self) -> None:
        """It let a request wait for too long: what else waits for it gets no more time than an attempt."""
        self.failed()
        for scope, since_s in self._waiting.items():
            scope.deadline = min(scope.deadline, since_s + self._patience_s)

    @property
    def keeps_waiting(self) -> bool:
        """Whether a request has been waiting for it for longer than an attempt takes."""
        since_s = min(self._waiting.values(), default=inf)
        return since_s + self._patience_s <= trio.current_time()

    async def request(self, method: str, path: str, body: bytes, *, timeout_s: float) -> Response:
        """Ask it. Raises HttpError, and UnresponsiveError as soon as others found it so."""
        scope = trio.CancelScope()
        self._waiting[scope] = trio.current_time()
        try:
            with scope:
                response = await self.http.request(method, path, body=body, timeout_s=timeout_s)
                self.answered()
                return response
        finally:
            del self._waiting[scope]
        raise UnresponsiveError(f"{self.address} stopped answering")

    async def is_alive(self) -> bool:
        """Whether it answers a question that costs it nothing, in half the time of an attempt."""
        try:
            await self.request("GET", "/version", b"", timeout_s=self._patience_s / 2)
        except (HttpError, UnresponsiveError):
            self.stopped_answering()
            return False
        return True


class Endpoints:
    """The members in order. `attempt_s` is the share of `timeout_s` that one of them gets."""

    def __init__(self, net: Network, addresses: Sequence[Address], *, timeout_s: float) -> None:
        if not addresses:
            raise ValueError("no endpoints")
        self.attempt_s = timeout_s if len(addresses) == 1 else timeout_s / (len(addresses) + 1)
        self._all = [Endpoint(net, address, patience_s=self.attempt_s) for address in addresses]

    def __len__(self) -> int:
        return len(self._all)

    def in_order(self) -> list[Endpoint]:
        """The one that works first, the one that failed last at the end."""
        return sorted(self._all, key=_rank)

    def find(self, address: Address) -> Endpoint:
        """The member at an address. Raises LookupError."""
        for endpoint in self._all:
            if endpoint.address == address:
                return endpoint
        raise LookupError(f"{address} is none of the endpoints")

    async def probe_slow_ones(self) -> NoReturn:
        """Find out which members that let requests wait are dead, forever. Alone there is nowhere else to go."""
        while True:
            await trio.sleep(self.attempt_s / 2)
            for endpoint in self._all:
                if len(self._all) > 1 and endpoint.keeps_waiting:
                    await endpoint.is_alive()

    async def aclose(self) -> None:
        """Close all connections."""
        for endpoint in self._all:
            await endpoint.http.aclose()


def _rank(endpoint: Endpoint) -> tuple[float, float]:
    """Never failed or answered since: by recency of the answer; else by how long ago it failed."""
    if endpoint.failed_s >= endpoint.answered_s and endpoint.failed_s > -inf:
        return endpoint.failed_s, 0.0
    return -inf, -endpoint.answered_s


class _BoundedDial:
    """A network whose dials give up in time: what was never sent has certainly had no effect."""

    def __init__(self, net: Dialler, timeout_s: float) -> None:
        self._net = net
        self._timeout_s = timeout_s

    async def dial(self, address: Address) -> Stream:
        with trio.move_on_after(self._timeout_s):
            return await self._net.dial(address)
        raise TimeoutError(f"no connection within {self._timeout_s:g} s")
