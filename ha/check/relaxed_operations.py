"""What may be left out of a history with revisions: see `ha.check.shrink`.

A read only restricts. A write is left out when nobody left can have seen it, nor may have needed that something, or
nothing, was there. How a write ended is never forgotten, for its revision is what places it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec

from ha.history import Operation

__all__ = ["RelaxedOperations"]


class RelaxedOperations:
    """See `Relaxation`."""

    def until(self, operations: Sequence[Operation], time: float) -> list[Operation]:
        """See `Relaxation`."""
        cut = [
            one
            if one.completed_s is not None and one.completed_s <= time
            else msgspec.structs.replace(one, outcome="info", completed_s=None, revision=None)
            for one in operations
            if one.invoked_s <= time
        ]
        return [one for one in cut if one.outcome != "info" or one.type != "read"]

    def end(self, operation: Operation) -> float | None:
        """See `Relaxation`."""
        return None if operation.outcome == "info" else operation.completed_s

    def softened(self, operation: Operation) -> Operation | None:  # noqa: ARG002  (the protocol's)
        """See `Relaxation`."""
        return None

    def leave_out(self, dropped: Sequence[Operation], rest: Sequence[Operation]) -> Self | None:
        """See `Relaxation`."""
        free = all(_only_restricts(one) or not any(_may_need(other, one) for other in rest) for one in dropped)
        return self if free else None


def _only_restricts(one: Operation) -> bool:
    return one.type == "read" or one.outcome == "fail"


def _may_need(other: Operation, write: Operation) -> bool:
    """Whether an operation may be explained by a write."""
    if other.key != write.key:
        return False
    if write.type == "delete":
        return other.type == "create" or (_only_restricts(other) and other.revision == 0)
    if other.type == "delete":
        return True
    revision = other.revision if _only_restricts(other) else other.expected
    fits = None in (other.value, write.value) or other.value == write.value
    if not revision:
        return other.type == "read" and other.revision is None and fits
    if write.revision is not None:
        return revision == write.revision
    return other.type != "read" or fits
