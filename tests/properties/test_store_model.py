"""The model of a store acquits every correct store, whatever is lost or late, and sees any answer that was changed."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ha.check import leases
from ha.check.store_durability import lost_writes
from ha.check.store_facts import Facts
from ha.check.store_model import violations
from ha.history import Operation
from ha.history.store import Range, StoreAnswer, Version
from tests.properties.lossy_store import LossyStore

STEPS = 150


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9), lost=st.sampled_from([0.0, 0.05, 0.2, 0.5]), keys=st.integers(1, 4))
def test_a_correct_store_is_acquitted(seed: int, lost: float, keys: int) -> None:
    history = LossyStore(seed, lost=lost, keys=keys).run(STEPS)
    Random(seed).shuffle(history)  # the order of a file says nothing
    assert violations(Facts.of(history), sole=True) == []


def tampered(answer: StoreAnswer, random: Random) -> StoreAnswer:
    """One key of an answer is not what it was."""
    index = random.randrange(len(answer.kvs))
    kv, others = answer.kvs[index], [*answer.kvs[:index], *answer.kvs[index + 1 :]]
    changes: list[Version | None] = [
        msgspec.structs.replace(kv, value=kv.value + "x"),
        msgspec.structs.replace(kv, version=kv.version + 1),
        msgspec.structs.replace(kv, create_revision=kv.create_revision - 1),
        msgspec.structs.replace(kv, mod_revision=kv.mod_revision - 1),
        None,
    ]
    change = random.choice(changes)
    if change is None:
        return msgspec.structs.replace(answer, kvs=others, count=len(others))
    kvs = [*answer.kvs[:index], change, *answer.kvs[index + 1 :]]
    return msgspec.structs.replace(answer, kvs=kvs)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_any_key_of_any_read_that_is_changed_is_seen(seed: int) -> None:
    """Where every outcome is known, and no lease is in play, nothing can hide a change."""
    random = Random(seed)
    history = LossyStore(seed, lost=0.0).run(STEPS)
    reads = [i for i, operation in enumerate(history) if is_read_with_keys(operation)]
    assume(reads)
    index = random.choice(reads)
    call = history[index].store
    assert call is not None
    assert call.answer is not None
    changed = msgspec.structs.replace(call, answer=tampered(call.answer, random))
    history[index] = msgspec.structs.replace(history[index], store=changed)
    assert violations(Facts.of(history), sole=True) != []


def is_read_with_keys(operation: Operation) -> bool:
    call = operation.store
    if call is None or call.answer is None or not isinstance(call.request, Range):
        return False
    return bool(call.answer.kvs) and not any(kv.lease for kv in call.answer.kvs)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9), lost=st.sampled_from([0.0, 0.05, 0.2, 0.5]))
def test_leases_of_a_correct_store_are_acquitted(seed: int, lost: float) -> None:
    assert leases.violations(Facts.of(LossyStore(seed, lost=lost).run(STEPS)), [], []) == []


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9), lost=st.sampled_from([0.0, 0.05, 0.2, 0.5]), keys=st.integers(1, 4))
def test_a_correct_store_has_lost_nothing(seed: int, lost: float, keys: int) -> None:
    store = LossyStore(seed, lost=lost, keys=keys)
    history = store.run(STEPS)
    final = store.look()
    assert lost_writes(Facts.of(history), [final]) == []


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_a_key_that_is_missing_in_the_end_was_lost(seed: int) -> None:
    """Where every outcome is known, and the key has no lease."""
    store = LossyStore(seed, lost=0.0)
    history = list(store.run(STEPS))
    final = store.look()
    assert final.store is not None
    assert final.store.answer is not None
    kept = [kv for kv in final.store.answer.kvs if not kv.lease]
    assume(kept)
    gone = kept[0]
    left = [kv for kv in final.store.answer.kvs if kv is not gone]
    poorer = msgspec.structs.replace(final.store.answer, kvs=left, count=len(left))
    short = msgspec.structs.replace(final, store=msgspec.structs.replace(final.store, answer=poorer))
    found = lost_writes(Facts.of([*history, short]), [short])
    assert f"{gone.key}: acknowledged, then gone" in {one.reason for one in found}
