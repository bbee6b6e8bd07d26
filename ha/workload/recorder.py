"""The history as it grows: an operation is recorded when it is over, and counted as it goes.

Where the records go is the caller's business (`record` is called once per operation, in the order of
completion, and must not block). What is outstanding when a run is cut off is flushed as unknown, without a time
of completion: nobody ever answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from ha.history import Operation, OperationType, Outcome
from ha.history.store import Refusal, StoreAnswer, StoreCall

__all__ = ["Pending", "Recorder"]


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """An operation that was invoked and is not over."""

    workload: str
    client: int
    type: OperationType
    key: str
    value: str | None
    expected: int | None
    store: StoreCall | None
    invoked_s: float

    def ended(
        self,
        outcome: Outcome,
        completed_s: float | None,
        *,
        value: str | None = None,
        revision: int | None = None,
        error: str | None = None,
        answer: StoreAnswer | None = None,
        refusal: Refusal | None = None,
    ) -> Operation:
        """The operation as it went. `value` is what a read saw; a write keeps its own."""
        store = self.store and msgspec.structs.replace(self.store, answer=answer, refusal=refusal)
        return Operation(
            workload=self.workload,
            client=self.client,
            type=self.type,
            key=self.key,
            value=value if self.type == "read" else self.value,
            expected=self.expected,
            invoked_s=self.invoked_s,
            completed_s=completed_s,
            outcome=outcome,
            revision=revision,
            error=error,
            store=store,
        )


class Recorder:
    """Collects the operations of all clients. `now_s` is the run's clock."""

    def __init__(self, record: Callable[[Operation], None], now_s: Callable[[], float]) -> None:
        self._record = record
        self.now_s = now_s
        self._pending: dict[Pending, None] = {}
        self._counts: dict[str, int] = {"ok": 0, "fail": 0, "info": 0}

    @property
    def counts(self) -> Mapping[str, int]:
        """Operations so far, by outcome."""
        return dict(self._counts)

    def invoke(
        self,
        workload: str,
        client: int,
        type_: OperationType,
        key: str,
        *,
        value: str | None = None,
        expected: int | None = None,
        store: StoreCall | None = None,
    ) -> Pending:
        """An operation begins now. `store`: the request, of one on etcd itself."""
        pending = Pending(workload, client, type_, key, value, expected, store, self.now_s())
        self._pending[pending] = None
        return pending

    def complete(
        self,
        pending: Pending,
        outcome: Outcome,
        *,
        value: str | None = None,
        revision: int | None = None,
        error: str | None = None,
        answer: StoreAnswer | None = None,
        refusal: Refusal | None = None,
    ) -> Operation:
        """An operation is over now; of outcome info: the client stops waiting for it. `answer`, `refusal`: of one on
        etcd itself.
        """
        del self._pending[pending]
        operation = pending.ended(
            outcome, self.now_s(), value=value, revision=revision, error=error, answer=answer, refusal=refusal
        )
        self._emit(operation)
        return operation

    def flush(self) -> None:
        """Record what is still outstanding as unknown. Call when the clients are gone."""
        for pending in list(self._pending):
            del self._pending[pending]
            self._emit(pending.ended("info", None, error="the client was stopped"))

    def _emit(self, operation: Operation) -> None:
        self._counts[operation.outcome] += 1
        self._record(operation)
