from __future__ import annotations

from random import Random

import pytest

from ha.check import linearizability, values
from tests.mutants.checker import MUTANTS, REVISIONS, SEARCH, broken
from tests.properties import brute_force, brute_force_values

HISTORIES = {SEARCH: 45_000, REVISIONS: 12_000}
"""Fewer than the 100,000 that a release is held against (HA_FUZZ_HISTORIES)."""


def _is_found(engine: str, seed: int) -> bool:
    """Whether a broken checker says something else than brute force, or fails."""
    try:
        if engine == REVISIONS:
            operations = brute_force.history(Random(seed))
            return linearizability.check(operations).verdict != brute_force.linearizable(operations)
        calls, initial = brute_force_values.history(Random(seed))
        return values.check(calls, initial=initial).verdict != brute_force_values.linearizable(calls, initial)
    except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError):
        return True


@pytest.mark.parametrize("name", MUTANTS)
def test_broken_checker_is_found(name):
    engine, module, old, new = MUTANTS[name]
    with broken(module, old, new):
        found = next((seed for seed in range(HISTORIES[engine]) if _is_found(engine, seed)), None)
    assert found is not None, f"{name}: {HISTORIES[engine]} histories do not show it"


def test_checker_is_whole_again():
    name, (engine, module, old, new) = next(iter(MUTANTS.items()))
    with broken(module, old, new):
        assert any(_is_found(engine, seed) for seed in range(HISTORIES[engine])), name
    assert not any(_is_found(engine, seed) for seed in range(500))
