"""Linearizability by definition: try every order. The oracle that `ha.check` is compared with, and histories
to compare on. Written from the definition alone; shares no code with what it judges.
"""

from __future__ import annotations

import math
from random import Random

import msgspec

from ha.history import Operation


def linearizable(operations: list[Operation]) -> bool:
    """Whether some order of all acknowledged operations and some of the unknown ones explains everything."""
    seen_revisions = {o.revision for o in operations if o.revision} | {o.expected for o in operations if o.expected}
    return _extend(operations, seen_revisions, frozenset(range(len(operations))), {}, 0, set())


def _extend(operations, labels, left, store, last, memo) -> bool:
    required = [i for i in left if operations[i].outcome != "info"]
    if not required:
        return True
    configuration = (left, tuple(sorted(store.items())), last)
    if configuration in memo:
        return False
    memo.add(configuration)
    horizon = min(_end(operations[i]) for i in required)
    for i in sorted(left):
        if operations[i].invoked_s <= horizon:
            for after, position in _effects(operations[i], labels, store, last):
                if _extend(operations, labels, left - {i}, after, position, memo):
                    return True
    return False


def _end(operation: Operation) -> float:
    return math.inf if operation.completed_s is None else operation.completed_s


def _effects(o: Operation, labels, store, last):
    """(store afterwards, highest revision so far) for each way in which an operation can come next."""
    held = store.get(o.key)  # (revision or None, value)
    if o.outcome == "fail":
        matched = o.revision is not None and o.type != "read" and o.revision > 0 and o.expected == o.revision
        if not matched and (o.revision is None or o.revision == (held[0] if held else 0)):
            yield store, last
    elif o.type == "read":
        if o.outcome == "info":
            yield store, last
        elif _explains(o, held):
            told = held is not None and held[1] is None and o.value is not None
            yield ({**store, o.key: (held[0], o.value)} if told else store), last
    elif _possible(o, held):
        known = o.outcome == "ok" and o.revision  # no write has revision 0: such an answer told nothing
        choices = {o.revision} if known else {None} | (set() if o.type == "delete" else labels)
        for label in choices:
            if label is None or label > last:
                after = {**store, o.key: (label, o.value)}
                if o.type == "delete":
                    del after[o.key]
                yield after, last if label is None else label


def _explains(o: Operation, held) -> bool:
    if o.revision is None:
        return o.value is None or (held is not None and held[1] in (o.value, None))
    if held is None:
        return o.revision == 0
    return held[0] == o.revision and (o.value is None or held[1] in (o.value, None))


def _possible(o: Operation, held) -> bool:
    if o.type == "create":
        return held is None
    if o.expected is not None:
        return held is not None and held[0] == o.expected
    return held is not None or o.type != "delete"


# Histories: a real store under a random schedule, then a few lies.


def history(random: Random) -> list[Operation]:
    """A small history: correct before it was, more often than not, tampered with."""
    if random.random() < 0.2:
        return _open(random)
    operations = _correct(random)
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        operations[random.randrange(len(operations))] = _tamper(random, operations)
    random.shuffle(operations)
    return operations


def _open(random: Random) -> list[Operation]:
    """Where revisions leave much open: writers to choose from, answers without a revision, values that nobody told. No
    store made this one.
    """
    first = random.randint(1, 9)
    blind = random.choice(
        (
            {"type": "read", "value": "x"},
            {"type": "write", "value": "y"},
            {"type": "cas", "value": "y", "expected": first},
        )
    )
    told: list[dict[str, object]] = [
        {"type": "write", "key": "a", "value": random.choice(("x", None)), "revision": first},
        {"key": "a", **blind},
        {"type": "read", "key": "b", "value": "z", "revision": random.randint(1, 9)},
        {"type": "write", "key": "b", "value": "z", "outcome": "info"},
        {"type": "write", "key": "b", "value": random.choice(("z", None)), "outcome": "info"},
        {"type": "read", "key": random.choice("ab"), "value": random.choice("xyz"), "revision": random.randint(1, 9)},
    ]
    if random.random() < 0.2:  # a key that comes and goes, and was seen gone, once or the other time
        told = told[:5]
        for kind, revision in zip(("create", "delete", "create"), sorted(random.sample(range(1, 10), 3)), strict=True):
            told.append({"type": kind, "key": "c", "revision": revision, "invoked_s": 0, "completed_s": 9})
        told.append({"type": "read", "key": "c", "revision": 0})
    operations = []
    for client, fields in enumerate(told if len(told) > 6 else told[: random.randint(5, 6)]):
        begin = random.randint(0, 4)
        end = None if "outcome" in fields else begin + random.choice((1, 1, 2, 8))
        made = {"workload": "w", "client": client, "outcome": "ok", "invoked_s": begin, "completed_s": end, **fields}
        operations.append(msgspec.convert(made, Operation))
    random.shuffle(operations)
    return operations


def _correct(random: Random) -> list[Operation]:
    length = random.randint(2, 7)
    keys = ["a", "b"][: random.randint(1, 2)]
    style = random.choice(("register", "register", "mixed", "mixed", "vague"))
    spread = random.choice((0.5, 2.0, 4.0))
    coarse = random.random() < 0.25
    store: dict[str, tuple[int, str]] = {}
    revision = 1
    operations = []
    for moment in range(length):
        o, store, revision = _operate(random, random.choice(keys), style, store, revision, moment)
        times = (moment - random.random() * spread, moment + random.random() * spread)
        times = (float(round(times[0])), float(round(times[1]))) if coarse else times
        completed = None if o.outcome == "info" and random.random() < 0.5 else times[1]
        operations.append(msgspec.structs.replace(o, client=moment, invoked_s=times[0], completed_s=completed))
    return operations


def _operate(random, key, style, store, revision, moment):
    """One operation on the store, as its client may have recorded it."""
    value = random.choice("xyz") if style == "vague" and random.random() < 0.5 else f"v{moment}"
    kinds = ["read", "read", "write", "cas"] + ([] if style == "register" else ["create", "delete", "delete"])
    kind = random.choice(kinds)
    held = store.get(key)
    o = Operation(workload="w", client=0, type=kind, key=key, invoked_s=0.0, outcome="ok")
    if kind == "read":
        vague = style == "vague" and random.random() < 0.3 and held is not None
        seen = {"revision": 0} if held is None else {"revision": None if vague else held[0], "value": held[1]}
        return msgspec.structs.replace(o, **seen), store, revision
    demand = None
    if kind == "cas":
        demand = held[0] if held and random.random() < 0.7 else random.randint(1, revision + 1)
    possible = {"write": True, "create": held is None, "delete": held is not None}.get(
        kind, held is not None and demand == held[0]
    )
    unknown = random.random() < (0.2 if style == "register" else 0.35)
    o = msgspec.structs.replace(o, value=None if kind == "delete" else value, expected=demand)
    if (unknown and random.random() < 0.5) or not possible:
        shown = (held[0] if held else 0) if random.random() < 0.3 and not unknown else None
        return msgspec.structs.replace(o, outcome="info" if unknown else "fail", revision=shown), store, revision
    revision += random.randint(1, 2)
    store = {k: v for k, v in store.items() if k != key} if kind == "delete" else {**store, key: (revision, value)}
    if unknown:
        return msgspec.structs.replace(o, outcome="info"), store, revision
    silent = (kind == "delete" and random.random() < 0.5) or (style == "vague" and random.random() < 0.1)
    return msgspec.structs.replace(o, revision=None if silent else revision), store, revision


def _tamper(random: Random, operations: list[Operation]) -> Operation:  # noqa: PLR0911  (a table of lies)
    o = random.choice(operations)
    other = random.choice(operations)
    match random.randrange(6):
        case 0:
            shift = random.choice((-3.0, 3.0))
            end = None if o.completed_s is None else o.completed_s + shift
            return msgspec.structs.replace(o, invoked_s=o.invoked_s + shift, completed_s=end)
        case 1 if o.revision is not None:
            return msgspec.structs.replace(o, revision=max(0, o.revision + random.choice((-2, -1, 1, 2))))
        case 2 if o.type == "read" and o.revision:
            return msgspec.structs.replace(o, revision=other.revision, value=other.value)
        case 3 if o.expected is not None:
            return msgspec.structs.replace(o, expected=max(1, o.expected + random.choice((-1, 1))))
        case 4 if o.outcome == "info":
            return msgspec.structs.replace(o, outcome="ok", completed_s=o.invoked_s + 1.0)
        case 5 if o.type != "read":
            return msgspec.structs.replace(o, outcome="info", revision=None)
        case _:
            return msgspec.structs.replace(o, key=other.key)
