"""Puts other things in the place of attributes of modules and classes, for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["replaced"]


@contextmanager
def replaced(replacements: Sequence[tuple[object, str, object]]) -> Iterator[None]:
    """Each is an owner, the name of its attribute, and what stands there meanwhile; afterwards all is as it was."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    try:
        for owner, name, other in replacements:
            setattr(owner, name, other)
        yield
    finally:
        for owner, name, original in before:
            setattr(owner, name, original)
