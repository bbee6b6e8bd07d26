"""What every client of a workload has: a number, one connection, one request at a time, pauses after failures.

A connection on which a request failed is given up: the next one is made anew, which is how clients get away from
a dead server behind a load balancer. Nothing is retried: asking again is a new operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import trio

from ha.http import Client as HttpClient
from ha.http import Response
from ha.workload.pacing import Backoff
from ha.world import Address, Host, Random

__all__ = ["Connection"]


class Connection:
    """A client's connection to `server`. `number` is its identity in the history; `timeout_s` bounds each request."""

    def __init__(self, workload: str, number: int, *, host: Host, server: Address, timeout_s: float) -> None:
        self.workload = workload
        self.number = number
        self.random = Random(host.random.getrandbits(64))
        self._backoff = Backoff(self.random)
        self._host = host
        self._server = server
        self._timeout_s = timeout_s
        self._http = self._connect()
        self._values = count()
        self._served = True

    def new_value(self) -> str:
        """A value that nobody writes but one operation of this client."""
        return f"{self.workload}-{self.number}-{next(self._values)}"

    async def rest(self, until: trio.Event | None = None) -> None:
        """Pause if the last request was not served; not beyond `until`."""
        if self._served:
            self._backoff.reset()
        else:
            await self._backoff.pause(until)

    async def pause(self) -> None:
        """Pause whatever the last request came to."""
        await self._backoff.pause()

    async def hang_up(self) -> None:
        """Give the connection up; the next request makes a new one."""
        old, self._http = self._http, self._connect()
        await old.aclose()

    async def send(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """One request. Raises HttpError."""
        return await self._http.request(method, target, body=body, headers=headers, timeout_s=self._timeout_s)

    async def heed(self, *, served: bool) -> None:
        """Take note of whether the last request was served."""
        self._served = served
        if not served:
            await self.hang_up()

    def _connect(self) -> HttpClient:
        return HttpClient(self._host.net, self._server, headers={"user-agent": "ha-workload"}, max_idle=1)
