"""Planted bugs: the corpus by which the testbed measures itself.

A mutant is a small patch of one component, switched on by name for the time of a simulation and never otherwise. Each
breaks a promise that users rely on, as a good engineer could have broken it, and lets a cluster that nothing disturbs
come up and serve: what finds it is the search for faults, and the checkers. One that no checker can see asks for a
checker.

Where two mechanisms guard the same promise, a mutant takes away what must be taken away for the bug to show, and its
summary says so.

The modules hold the mutants of one part of the cluster each, as functions that return their patches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeAlias

__all__ = ["Mutant", "Patch", "mutant", "planted", "registry"]

Patch: TypeAlias = tuple[Any, str, Any]
"""Whose attribute (or, of a dict, whose item), which, and what it becomes."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug. `component` is where it sits: raft, etcd, kube-apiserver and so on."""

    name: str
    component: str
    summary: str
    """What is wrong, in one line."""
    patches: Callable[[], Sequence[Patch]]


_MUTANTS: dict[str, Mutant] = {}


def mutant(name: str, component: str, summary: str) -> Callable[[Callable[[], Sequence[Patch]]], Mutant]:
    """Enter the decorated function, which returns the patches, into the corpus."""

    def enter(patches: Callable[[], Sequence[Patch]]) -> Mutant:
        assert name not in _MUTANTS, name
        found = _MUTANTS[name] = Mutant(name, component, summary, patches)
        return found

    return enter


def registry() -> dict[str, Mutant]:
    """Every mutant by its name, sorted by component and name."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return {found.name: found for found in sorted(_MUTANTS.values(), key=lambda one: (one.component, one.name))}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Plant a mutant in this process; None plants nothing. Everything is as it was afterwards. Raises LookupError."""
    if name is None:
        yield
        return
    found = registry().get(name)
    if found is None:
        raise LookupError(f"no mutant {name!r}; there are {', '.join(sorted(registry()))}")
    patches = list(found.patches())
    before = [(owner, key, _get(owner, key)) for owner, key, _ in patches]
    try:
        for owner, key, wrong in patches:
            _set(owner, key, wrong)
        yield
    finally:
        for owner, key, right in before:
            _set(owner, key, right)


def _get(owner: Any, key: Any) -> Any:  # noqa: ANN401  (whatever is patched)
    return owner[key] if isinstance(owner, dict) else vars(owner)[key]


def _set(owner: Any, key: Any, value: Any) -> None:  # noqa: ANN401
    if isinstance(owner, dict):
        owner[key] = value
    else:
        setattr(owner, key, value)
