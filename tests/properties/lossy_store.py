"""Histories of a correct store whose clients are slow, overlap, lose answers, and whose requests may arrive late.

The store is `ha.etcd.machine.EtcdMachine` itself; its clients have the minds of the workload. Requests take effect at
some time between question and answer; of those whose answer is lost some take effect never, some long after their
client gave up. Serializable reads come from an old copy. Leases run out when the time has come, or later.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from random import Random

from ha.etcd import api, txn, wire
from ha.etcd.commands import LeaseExpire, encode
from ha.etcd.machine import EtcdMachine
from ha.history import Operation
from ha.history.store import LeaseGrant, LeaseKeepAlive, Range, StoreCall, StoreRequest
from ha.http import Response
from ha.workload import store_calls
from ha.workload.store_mind import StoreMind, everything

_TYPES = {
    "/v3/kv/put": api.PutRequest,
    "/v3/kv/deleterange": api.DeleteRangeRequest,
    "/v3/kv/compaction": api.CompactionRequest,
    "/v3/lease/grant": api.LeaseGrantRequest,
    "/v3/lease/revoke": api.LeaseRevokeRequest,
}


class LossyStore:
    """`lost`: the share of answers that are lost."""

    def __init__(self, seed: int, *, clients: int = 4, keys: int = 3, lost: float = 0.15) -> None:
        self.random = Random(seed)
        self.machine = EtcdMachine()
        self.history: list[Operation] = []
        self.expiry_s: dict[int, float] = {}
        self._old = EtcdMachine()
        self._lost = lost
        self._now_s = 0.0
        self._order = count()
        self._encoder = wire.Encoder(1, 2)
        values = count()
        names = [f"store/{n}" for n in range(keys)]
        self._minds = [
            StoreMind("store", n, names, Random(seed * 100 + n), lambda: f"v{next(values)}") for n in range(clients)
        ]

    def run(self, steps: int) -> list[Operation]:
        """So many requests, of which all that are answered are; in the end everybody reads everything."""
        queue: list[tuple[float, int, int]] = []
        for client in range(len(self._minds)):
            heappush(queue, (self.random.random(), next(self._order), client))
        pending: list[tuple[float, int, int, StoreRequest, float, bool]] = []
        asked = 0
        while queue or pending:
            if pending and (not queue or pending[0][0] <= queue[0][0]):
                at_s, _, client, request, invoked_s, lost = heappop(pending)
                self._advance(at_s)
                operation = self._do(client, request, invoked_s, at_s, lost=lost)
                if operation is not None:
                    heappush(queue, (operation.completed_s or at_s, next(self._order), client))
                continue
            at_s, _, client = heappop(queue)
            self._advance(at_s)
            asked += 1
            if asked > steps:
                continue
            request = self._minds[client].next(at_s)
            delay_s = self.random.expovariate(20)
            lost = self.random.random() < self._lost
            if lost:  # it gives up; what it asked for is done late, or never
                self._give_up(client, request, at_s)
                heappush(queue, (at_s + 0.5, next(self._order), client))
                if self.random.random() < 0.6:
                    late_s = at_s + self.random.choice([delay_s, self.random.uniform(0, 5)])
                    heappush(pending, (late_s, next(self._order), client, request, at_s, True))
            else:
                heappush(pending, (at_s + delay_s, next(self._order), client, request, at_s, False))
        return self.history

    def look(self) -> Operation:
        """A read of everything, when all is over."""
        whole, at_s = everything("store"), self._now_s + 10
        return self._record(0, whole, at_s, at_s + 0.1, self._answer(whole, at_s))

    def _advance(self, at_s: float) -> None:
        self._now_s = at_s
        if self.random.random() < 0.1:
            self._old.restore(self.machine.snapshot())
        for lease, expiry_s in list(self.expiry_s.items()):
            if expiry_s <= at_s and self.random.random() < 0.5:
                del self.expiry_s[lease]
                self.machine.apply(0, encode(LeaseExpire(lease, 1)))

    def _give_up(self, client: int, request: StoreRequest, at_s: float) -> None:
        self._record(client, request, at_s, at_s + 0.5 if self.random.random() < 0.8 else None, None)

    def _do(self, client: int, request: StoreRequest, invoked_s: float, at_s: float, *, lost: bool) -> Operation | None:
        response = self._answer(request, at_s)
        if lost:
            return None
        return self._record(client, request, invoked_s, at_s + self.random.expovariate(50), response)

    def _answer(self, request: StoreRequest, at_s: float) -> Response:
        if isinstance(request, LeaseKeepAlive):
            known = request.lease in self.machine.leases and self.expiry_s.get(request.lease, 0) > at_s
            if known:
                self.expiry_s[request.lease] = at_s + self.machine.leases.ttls_s[request.lease]
            ttl_s = self.machine.leases.ttls_s[request.lease] if known else 0
            return Response(200, self._encoder.lease_keep_alive(1, 1, request.lease, ttl_s))
        answer = self._apply(request)
        if isinstance(answer, api.Fault):
            return Response(*wire.encode_error(answer.code, answer.message))
        if isinstance(answer, api.LeaseGrantResult):
            assert isinstance(request, LeaseGrant)
            self.expiry_s[request.lease] = at_s + answer.ttl
            return Response(200, self._encoder.lease_grant(answer, 1))
        return Response(200, self._encoder.operation(answer, 1))

    def _apply(self, request: StoreRequest) -> api.Answer:
        path, body = store_calls.path(request), store_calls.body(request)
        if isinstance(request, Range):
            machine = self._old if request.serializable else self.machine
            return machine.store.range(wire.decode(api.RangeRequest, body))
        if path == "/v3/kv/txn":
            decoded = wire.decode(api.TxnRequest, body)
            if txn.is_read_only(decoded):
                return txn.txn(self.machine.store, self.machine.leases, decoded)
            return self.machine.apply(0, encode(decoded))
        return self.machine.apply(0, encode(wire.decode(_TYPES[path], body)))

    def _record(
        self, client: int, request: StoreRequest, invoked_s: float, completed_s: float | None, response: Response | None
    ) -> Operation:
        reply = None if response is None else store_calls.interpret(request, response)
        call = StoreCall(
            member="etcd-1",
            request=request,
            answer=reply.answer if reply else None,
            refusal=reply.refusal if reply else None,
        )
        operation = Operation(
            workload="store",
            client=client,
            type=store_calls.type_of(request),
            key=store_calls.key_of(request),
            invoked_s=invoked_s,
            completed_s=completed_s,
            outcome=reply.outcome if reply else "info",
            store=call,
        )
        self.history.append(operation)
        self._minds[client].learn(operation)
        return operation
