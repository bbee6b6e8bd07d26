"""What is left out of a history must not be what makes it wrong: whatever explains all explains the rest."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from ha.check.counterexample import of_operations
from ha.check.linearizability import check_columns
from ha.check.registers import says_something
from ha.check.relaxed_calls import RelaxedCalls
from ha.check.relaxed_operations import RelaxedOperations
from ha.check.shrink import shrink
from ha.check.values import refute
from ha.history.columns import Columns
from tests.properties import brute_force, brute_force_values

SEEDS = 4000
BATCHES = 4


def _chunk(random: Random, operations: list) -> tuple[list, list]:
    """Some, and the others."""
    dropped = random.sample(range(len(operations)), random.randint(1, len(operations)))
    return (
        [operations[i] for i in sorted(dropped)],
        [one for i, one in enumerate(operations) if i not in dropped],
    )


@pytest.mark.parametrize("batch", range(BATCHES))
def test_calls_left_out_of_a_linearizable_history_leave_it_linearizable(batch):
    left_out = 0
    for seed in range(batch, SEEDS, BATCHES):
        random = Random(seed)
        calls, initial = brute_force_values.history(random)
        calls = [call for call in calls if says_something(call) and call.key == "a"]
        if not calls or not brute_force_values.linearizable(calls, initial):
            continue
        dropped, rest = _chunk(random, calls)
        if rest and RelaxedCalls().leave_out(dropped, rest) is not None:
            left_out += 1
            assert brute_force_values.linearizable(rest, initial), (seed, calls, dropped)
    assert left_out > SEEDS / BATCHES / 20


@pytest.mark.parametrize("batch", range(BATCHES))
def test_operations_left_out_of_a_linearizable_history_leave_it_linearizable(batch):
    left_out = 0
    for seed in range(batch, SEEDS, BATCHES):
        random = Random(seed)
        operations = brute_force.history(random)
        if not brute_force.linearizable(operations):
            continue
        dropped, rest = _chunk(random, operations)
        if rest and RelaxedOperations().leave_out(dropped, rest) is not None:
            left_out += 1
            assert brute_force.linearizable(rest), (seed, operations, dropped)
    assert left_out > SEEDS / BATCHES / 20


@pytest.mark.parametrize("batch", range(BATCHES))
def test_core_of_calls_is_not_linearizable(batch):
    shrunk = 0
    for seed in range(batch, SEEDS, BATCHES):
        calls, initial = brute_force_values.history(Random(seed))
        calls = [call for call in calls if says_something(call) and call.key == "a"]
        if brute_force_values.linearizable(calls, initial):
            continue
        core, relaxed = shrink(calls, RelaxedCalls(), partial(refute, initial=initial, budget=10_000))
        shrunk += len(core) < len(calls)
        assert not brute_force_values.linearizable(core, initial), (seed, calls, core)
        assert not brute_force_values.linearizable(relaxed.with_ghosts(core), initial), (seed, calls, core)
    assert shrunk > SEEDS / BATCHES / 20


@pytest.mark.parametrize("batch", range(BATCHES))
def test_core_of_operations_is_convicted_as_well(batch):
    for seed in range(batch, SEEDS, BATCHES):
        operations = brute_force.history(Random(seed))
        columns = Columns.of(operations)
        found = check_columns(columns)
        if found.verdict is False:
            acts = of_operations(found, columns)
            assert 1 <= len(acts) <= len(operations)
            assert sum(act.guilty for act in acts) >= 1
