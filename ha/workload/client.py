"""One client of a workload: one connection, one operation at a time, each recorded.

A connection on which a request failed is given up: the next one goes through the load balancer anew, which is
how clients get away from a dead API server. Nothing is retried: asking again is a new operation.
"""

from __future__ import annotations

from itertools import count

import trio

from ha.history import Operation, OperationType
from ha.http import Client as HttpClient
from ha.http import HttpError, Response
from ha.workload.configmaps import (
    HEADERS,
    Call,
    call,
    interpret,
    namespace_call,
    unanswered,
)
from ha.workload.pacing import Backoff
from ha.workload.recorder import Recorder
from ha.world import Address, Host, Random

__all__ = ["Client"]


class Client:
    """A client of the API at `server`. `timeout_s` bounds each request."""

    def __init__(
        self, workload: str, number: int, *, host: Host, server: Address, recorder: Recorder, timeout_s: float
    ) -> None:
        self.workload = workload
        self.number = number
        self.random = Random(host.random.getrandbits(64))
        self._backoff = Backoff(self.random)
        self._host = host
        self._server = server
        self._recorder = recorder
        self._timeout_s = timeout_s
        self._http = self._connect()
        self._values = count()
        self._served = True

    def new_value(self) -> str:
        """A value that nobody writes but one operation of this client."""
        return f"{self.workload}-{self.number}-{next(self._values)}"

    async def ask(
        self, type_: OperationType, key: str, *, value: str | None = None, expected: int | None = None
    ) -> Operation:
        """Do one operation and record it."""
        request = call(type_, self.workload, key, value=value, expected=expected)
        pending = self._recorder.invoke(self.workload, self.number, type_, key, value=value, expected=expected)
        try:
            answer = interpret(type_, await self._send(request))
        except HttpError as error:
            answer = unanswered(error)
        operation = self._recorder.complete(
            pending, answer.outcome, value=answer.value, revision=answer.revision, error=answer.error
        )
        await self._heed(served=answer.served)
        return operation

    async def rest(self, until: trio.Event | None = None) -> None:
        """Pause if the last request was not served; not beyond `until`."""
        if self._served:
            self._backoff.reset()
        else:
            await self._backoff.pause(until)

    async def pause(self) -> None:
        """Pause whatever the last request came to."""
        await self._backoff.pause()

    async def ensure_namespace(self) -> str | None:
        """Create the namespace of all workloads unless it is there. Returns what went wrong."""
        try:
            answer = interpret("create", await self._send(namespace_call()))
        except HttpError as error:
            answer = unanswered(error)
        await self._heed(served=answer.served)
        there = answer.outcome == "ok" or (answer.error or "").startswith("409")
        return None if there else f"namespace: {answer.error}"

    async def hang_up(self) -> None:
        """Give the connection up; the next request makes a new one."""
        old, self._http = self._http, self._connect()
        await old.aclose()

    async def _send(self, request: Call) -> Response:
        return await self._http.request(
            request.method, request.target, body=request.body, headers=HEADERS, timeout_s=self._timeout_s
        )

    async def _heed(self, *, served: bool) -> None:
        self._served = served
        if not served:
            await self.hang_up()

    def _connect(self) -> HttpClient:
        return HttpClient(self._host.net, self._server, headers={"user-agent": "ha-workload"}, max_idle=1)
