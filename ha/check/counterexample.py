"""The few operations that show that no order explains a history, in words.

What revisions convict is named by the conviction itself. What a search refuted is shrunk first (`ha.check.shrink`):
the last answer of the shortest prefix without an order is the one that stands out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ha.check.describe import what
from ha.check.linearizability import Linearizability, check
from ha.check.registers import Value
from ha.check.relaxed_calls import RelaxedCalls
from ha.check.relaxed_operations import RelaxedOperations
from ha.check.shrink import shrink
from ha.check.values import refute
from ha.history import Operation
from ha.history.act import Act
from ha.history.calls import Call
from ha.history.columns import Columns

__all__ = ["of_calls", "of_operations"]

_BUDGET = 20_000
"""Configurations that each try of shrinking may visit."""
_MANY = 10_000
"""More operations than these are not searched again as a whole."""
_LONG = 60


def of_calls(violation: Linearizability, initial: Value) -> list[Act]:
    """Those of a history without revisions."""
    calls = [call for call in violation.operations if isinstance(call, Call)]
    core, relaxed = shrink(calls, RelaxedCalls(), partial(refute, initial=initial, budget=_BUDGET))
    last = max(core, key=lambda call: call.end or 0.0)
    return [_act_of_call(call, guilty=call == last) for call in relaxed.with_ghosts(core)]


def of_operations(violation: Linearizability, columns: Columns) -> list[Act]:
    """Those of a history with revisions."""
    named = [operation for operation in violation.operations if isinstance(operation, Operation)]
    core = _core(violation.keys, columns)
    guilty = max(core, key=lambda operation: operation.completed_s or 0.0) if core else named[0]
    return [_act(operation, guilty=operation == guilty) for operation in sorted(core or named, key=_invoked_s)]


def _core(keys: Sequence[str], columns: Columns) -> list[Operation]:
    """Of a history that a search refuted: on the keys that it searched, if these alone show it. Empty: too many."""
    numbers = [number for number, key in enumerate(columns.keys) if key in keys]
    for rows in (np.flatnonzero(np.isin(columns.key, numbers)), np.arange(len(columns))):
        if numbers and len(rows) <= _MANY:
            operations = [columns.operation(row) for row in rows.tolist()]
            if _is_bad(operations):
                return shrink(operations, RelaxedOperations(), _is_bad)[0]
    return []


def _is_bad(operations: list[Operation]) -> bool:
    return check(operations, budget=_BUDGET).verdict is False


def _invoked_s(operation: Operation) -> float:
    return operation.invoked_s


def _act(operation: Operation, *, guilty: bool) -> Act:
    return Act(
        client=f"{operation.workload} {operation.client}",
        what=what(operation),
        start=operation.invoked_s,
        end=None if operation.outcome == "info" else operation.completed_s,
        guilty=guilty,
    )


def _act_of_call(call: Call, *, guilty: bool) -> Act:
    return Act(
        client=f"client {call.client}",
        what=_what_of_call(call),
        start=call.start,
        end=None if call.outcome == "info" else call.end,
        guilty=guilty,
    )


def _what_of_call(call: Call) -> str:
    answer = {"ok": "ok", "fail": "refused", "info": "unknown"}[call.outcome]
    match call.type:
        case "read":
            return f"read -> {_text(call.value)}"
        case "cas":
            return f"cas {_text(call.expected)} to {_text(call.value)} -> {answer}"
        case "delete":
            return f"delete -> {answer}"
        case _:
            return f"{call.type} {_text(call.value)} -> {answer}"


def _text(value: Value) -> str:
    if value is None:
        return "nothing"
    return repr(value if len(value) <= _LONG else f"{value[: _LONG // 2]}…{value[-_LONG // 2 :]}")
