"""Finds what would make a simulation depend on more than its seed: the real clock, threads, unseeded randomness.

For the time of a simulation the functions that give access to them raise when a component calls them, directly or
through a library. An escape also fails the whole simulation when the component swallowed the error. What Python does
not let us replace (``datetime.now``, names that a module imported before) is banned by the linter in `ha` itself;
dependence on the hash seed or on addresses of objects shows in the digest of the trace.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from ha.world.sim.replacing import replaced

__all__ = ["EscapeError", "watched"]

_FUNCTIONS: dict[ModuleType, tuple[str, ...]] = {
    time: ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "sleep"),
    os: ("urandom", "getrandom"),
    secrets: ("token_bytes", "token_hex", "token_urlsafe", "randbelow", "randbits", "choice"),
    uuid: ("uuid1", "uuid4"),
    random: tuple(
        name
        for name in random.__all__
        if callable(getattr(random, name)) and not isinstance(getattr(random, name), type)
    ),
}


class EscapeError(Exception):
    """A component reached for something that the seed does not decide."""


@contextmanager
def watched(is_component: Callable[[], bool]) -> Iterator[None]:
    """Raise EscapeError in a component that escapes, and once more at the end. `is_component` tells who is running."""
    escapes: list[str] = []

    def escape(what: str) -> EscapeError:
        caller = traceback.extract_stack(limit=3)[0]
        escapes.append(f"{what} was called at {caller.filename}:{caller.lineno}, in {caller.name}")
        return EscapeError(escapes[-1])

    def guarded(original: Callable[..., Any], what: str) -> Callable[..., Any]:
        def guard(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (stands in for anything)
            if is_component():
                raise escape(what)
            return original(*args, **kwargs)

        return guard

    seed = random.Random.seed

    def seed_given(self: random.Random, a: Any = None, version: int = 2) -> None:  # noqa: ANN401  (as the original)
        if a is None and is_component():
            raise escape("random.Random() without a seed")
        seed(self, a, version)

    patches: list[tuple[Any, str, Any]] = [
        (module, name, guarded(getattr(module, name), f"{module.__name__}.{name}"))
        for module, names in _FUNCTIONS.items()
        for name in names
        if hasattr(module, name)
    ]
    patches += [
        (threading.Thread, "start", guarded(threading.Thread.start, "threading.Thread.start")),
        (random.Random, "seed", seed_given),
    ]
    try:
        with replaced(patches):
            yield
    finally:
        if escapes:
            raise EscapeError("; ".join(dict.fromkeys(escapes)))
