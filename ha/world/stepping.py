"""Awaiting by hand, for what must not cost anything unless it blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any, TypeVar

__all__ = ["noting_block"]

T = TypeVar("T")


@coroutine
def noting_block(awaitable: Awaitable[T], note: Callable[[], None]) -> Generator[Any, Any, T]:
    """Await something, and call `note` before its first suspension, if there is one."""
    steps = awaitable.__await__()
    try:
        trap = next(steps)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    note()
    try:
        while True:
            try:
                answer = yield trap
            except BaseException as error:  # noqa: BLE001  (passed on to whom it is meant for)
                trap = steps.throw(error)
            else:
                trap = steps.send(answer)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
