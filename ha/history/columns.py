"""A history of a store that tells revisions as columns: what checks of millions of operations work on.

An `Operation` takes some four hundred bytes, a row of these columns fifty. Texts are numbered as they come: equal
numbers are equal texts. Whatever is shown to people is looked up by row again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ha.history import Operation, OperationType, Outcome

__all__ = ["NONE", "OUTCOMES", "TYPES", "Columns", "Floats", "Integers", "Rows"]

Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

NONE: Final = -1
"""Stands for None in columns of numbers."""

TYPES: Final[dict[OperationType, int]] = {type_: code for code, type_ in enumerate(get_args(OperationType))}
OUTCOMES: Final[dict[Outcome, int]] = {outcome: code for code, outcome in enumerate(get_args(Outcome))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """One row per operation, in the order of the history. `end_s` is infinite where no answer came."""

    start_s: Floats
    end_s: Floats
    type: Integers
    outcome: Integers
    client: Integers
    key: Integers
    value: Integers
    expected: Integers
    revision: Integers
    keys: Sequence[str]
    """Names by the numbers in `key`."""
    operation: Callable[[int], Operation] = field(repr=False)
    """The operation of a row."""

    def __len__(self) -> int:
        return len(self.start_s)

    @classmethod
    def of(cls, operations: Sequence[Operation]) -> Columns:
        """Those of a history in memory."""
        rows = Rows()
        rows.extend(operations)
        return rows.columns(operations.__getitem__)


class Rows:
    """Columns that grow."""

    def __init__(self) -> None:
        self._start_s, self._end_s = array("d"), array("d")
        self._type, self._outcome = array("b"), array("b")
        self._client, self._key, self._value = array("i"), array("i"), array("i")
        self._expected, self._revision = array("q"), array("q")
        self._clients: dict[tuple[str, int], int] = {}
        self._keys: dict[str, int] = {}
        self._values: dict[str | None, int] = {None: NONE}

    def __len__(self) -> int:
        return len(self._start_s)

    def extend(self, operations: Sequence[Operation]) -> None:
        """More operations. Raises OverflowError for a revision that no store has."""
        self._start_s.extend([o.invoked_s for o in operations])
        self._end_s.extend([inf if o.completed_s is None else o.completed_s for o in operations])
        self._type.extend([TYPES[o.type] for o in operations])
        self._outcome.extend([OUTCOMES[o.outcome] for o in operations])
        clients, keys, values = self._clients, self._keys, self._values
        self._client.extend([clients.setdefault((o.workload, o.client), len(clients)) for o in operations])
        self._key.extend([keys.setdefault(o.key, len(keys)) for o in operations])
        self._value.extend([values.setdefault(o.value, len(values)) for o in operations])
        self._expected.extend([NONE if o.expected is None else o.expected for o in operations])
        self._revision.extend([NONE if o.revision is None else o.revision for o in operations])

    def columns(self, operation: Callable[[int], Operation]) -> Columns:
        """What there is. `operation`: the one of a row."""
        return Columns(
            start_s=np.frombuffer(self._start_s, np.float64),
            end_s=np.frombuffer(self._end_s, np.float64),
            type=np.frombuffer(self._type, np.int8),
            outcome=np.frombuffer(self._outcome, np.int8),
            client=np.frombuffer(self._client, np.int32),
            key=np.frombuffer(self._key, np.int32),
            value=np.frombuffer(self._value, np.int32),
            expected=np.frombuffer(self._expected, np.int64),
            revision=np.frombuffer(self._revision, np.int64),
            keys=list(self._keys),
            operation=operation,
        )
