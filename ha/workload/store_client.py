"""One client of one etcd member, to which it is pinned: whom it asks, also a deposed or an isolated leader answers."""

from __future__ import annotations

from ha.history import Operation
from ha.history.store import StoreCall, StoreRequest
from ha.http import HttpError
from ha.workload import store_calls
from ha.workload.connection import Connection
from ha.workload.recorder import Recorder
from ha.world import Address, Host

__all__ = ["StoreClient"]

_HEADERS = {"content-type": "application/json", "accept": "application/json"}


class StoreClient(Connection):
    """A client of the member `member` at `server`."""

    def __init__(
        self,
        workload: str,
        number: int,
        *,
        host: Host,
        member: str,
        server: Address,
        recorder: Recorder,
        timeout_s: float,
    ) -> None:
        super().__init__(workload, number, host=host, server=server, timeout_s=timeout_s)
        self.member = member
        self._recorder = recorder

    async def call(self, request: StoreRequest) -> Operation:
        """Do one operation and record it."""
        key, type_ = store_calls.key_of(request), store_calls.type_of(request)
        call = StoreCall(member=self.member, request=request)
        pending = self._recorder.invoke(self.workload, self.number, type_, key, store=call)
        try:
            response = await self.send("POST", store_calls.path(request), store_calls.body(request), _HEADERS)
            reply = store_calls.interpret(request, response)
        except HttpError as error:
            reply = store_calls.unanswered(error)
        operation = self._recorder.complete(
            pending, reply.outcome, error=reply.error, answer=reply.answer, refusal=reply.refusal
        )
        await self.heed(served=reply.served)
        return operation
