"""What a run raised: nurseries wrap it in groups, one for each that it passed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["bare", "innermost"]


def innermost(error: BaseException) -> BaseException:
    """The one exception in a group of one of one; any other as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@contextmanager
def bare() -> Iterator[None]:
    """What is raised inside comes out as `innermost`."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise innermost(group) from None
