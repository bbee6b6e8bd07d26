"""One client of the API: operations on ConfigMaps, each recorded."""

from __future__ import annotations

from ha.history import Operation, OperationType
from ha.http import HttpError, Response
from ha.workload.configmaps import HEADERS, Call, call, interpret, namespace_call, unanswered
from ha.workload.connection import Connection
from ha.workload.recorder import Recorder
from ha.world import Address, Host

__all__ = ["Client"]


class Client(Connection):
    """A client of the API at `server`."""

    def __init__(
        self, workload: str, number: int, *, host: Host, server: Address, recorder: Recorder, timeout_s: float
    ) -> None:
        super().__init__(workload, number, host=host, server=server, timeout_s=timeout_s)
        self._recorder = recorder

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
        await self.heed(served=answer.served)
        return operation

    async def ensure_namespace(self) -> str | None:
        """Create the namespace of all workloads unless it is there. Returns what went wrong."""
        try:
            answer = interpret("create", await self._send(namespace_call()))
        except HttpError as error:
            answer = unanswered(error)
        await self.heed(served=answer.served)
        there = answer.outcome == "ok" or (answer.error or "").startswith("409")
        return None if there else f"namespace: {answer.error}"

    async def _send(self, request: Call) -> Response:
        return await self.send(request.method, request.target, request.body, HEADERS)
