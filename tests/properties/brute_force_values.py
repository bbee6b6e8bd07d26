"""Linearizability of registers, texts and objects by definition: try every order of all keys together. The oracle that
the search is compared with, and histories to compare on. Shares no code with what it judges.
"""

from __future__ import annotations

import math
from random import Random

import msgspec

from ha.history.calls import Call


def linearizable(calls: list[Call], initial: str | None) -> bool:
    """Whether some order of all definite calls and some of the unknown ones explains everything."""
    return _extend(calls, frozenset(range(len(calls))), (), initial, set())


def _extend(calls, left, held, initial, memo) -> bool:
    required = [i for i in left if calls[i].outcome != "info"]
    if not required:
        return True
    if (left, held) in memo:
        return False
    memo.add((left, held))
    horizon = min(_end(calls[i]) for i in required)
    for i in left:
        if calls[i].start <= horizon:
            store = dict(held)
            for after in _effects(calls[i], store.get(calls[i].key, initial)):
                then = tuple(sorted({**store, calls[i].key: after}.items()))
                if _extend(calls, left - {i}, then, initial, memo):
                    return True
    return False


def _end(call: Call) -> float:
    return math.inf if call.end is None else call.end


def _effects(call: Call, held: str | None):
    """What the key may hold afterwards; nothing: it cannot come next."""
    if call.outcome == "fail":
        if call.type != "cas" or held != call.expected:
            yield held
    elif call.outcome == "info" and call.type == "read":
        yield held
    else:
        possible, after = _do(call, held)
        if possible:
            yield after


def _do(call: Call, held: str | None) -> tuple[bool, str | None]:
    match call.type:
        case "read":
            return held == call.value, held
        case "write":
            return True, call.value
        case "append":
            return True, (held or "") + call.value
        case "cas":
            return held == call.expected, call.value
        case "create":
            return held is None, call.value
        case "delete":
            return held is not None, None


# Histories: a real store under a random schedule, then a few lies.

_KINDS = {
    "register": ("read", "read", "write", "cas", "cas"),
    "text": ("read", "read", "read", "write", "append", "append", "cas"),
    "object": ("read", "read", "write", "create", "delete", "cas"),
}


def history(random: Random) -> tuple[list[Call], str | None]:
    """A small history, and what keys hold in the beginning. It was correct before it was, mostly, tampered with."""
    style = random.choice(list(_KINDS))
    initial = "" if style == "text" else None
    calls = _correct(random, style, initial)
    for _ in range(random.choice((0, 1, 2, 3))):
        at = random.randrange(len(calls))
        calls[at] = _tamper(random, calls[at], style)
    random.shuffle(calls)
    return calls, initial


def _correct(random: Random, style: str, initial: str | None) -> list[Call]:
    keys = ["a", "b"][: random.choice((1, 1, 2))]
    spread = random.choice((0, 1, 2, 5))
    lossy = random.choice((0.0, 0.2, 0.4))
    values = random.choice(("12", "123", "1234567"))
    store: dict[str, str | None] = {}
    calls = []
    for moment in range(random.randint(3, 9)):
        key = random.choice(keys)
        call, after = _operate(random, style, key, store.get(key, initial), values)
        start, end = moment - random.randint(0, spread), moment + random.randint(0, spread)
        if random.random() < lossy and call.type != "read":
            happened = random.random() < 0.5 and call.outcome == "ok"
            call = msgspec.structs.replace(call, outcome="info", end=None if random.random() < 0.5 else end)
            store[key] = after if happened else store.get(key, initial)
        else:
            store[key] = after
            call = msgspec.structs.replace(call, end=end)
        calls.append(msgspec.structs.replace(call, client=str(moment), start=start))
    return calls


def _operate(random: Random, style: str, key: str, held: str | None, values: str) -> tuple[Call, str | None]:
    type_ = random.choice(_KINDS[style])
    value = random.choice(values)
    expected = held if random.random() < 0.6 else random.choice(("1", "2", None))
    call = Call(client="", key=key, type=type_, value=value, start=0, outcome="ok")
    if type_ == "read":
        return msgspec.structs.replace(call, value=held), held
    if type_ == "cas":
        call = msgspec.structs.replace(call, expected=expected)
    possible, after = _do(call, held)
    if not possible:
        return msgspec.structs.replace(call, outcome="fail"), held
    return call, after


def _tamper(random: Random, call: Call, style: str) -> Call:  # noqa: PLR0911  (a table of lies)
    match random.randrange(6):
        case 0:
            shift = random.choice((-3, -1, 1, 3))
            return msgspec.structs.replace(
                call, start=call.start + shift, end=None if call.end is None else call.end + shift
            )
        case 1 if call.type == "read":
            seen = (
                (call.value or "") + random.choice("123") if style == "text" else random.choice(("1", "2", "3", None))
            )
            return msgspec.structs.replace(call, value=seen)
        case 2 if call.type == "cas" and call.outcome != "info":
            return msgspec.structs.replace(call, outcome="fail" if call.outcome == "ok" else "ok")
        case 3 if call.outcome == "info":
            return msgspec.structs.replace(call, outcome="ok", end=call.start + 2)
        case 4 if call.type != "read":
            return msgspec.structs.replace(call, outcome="info", end=None)
        case _ if call.type in ("write", "append"):
            return msgspec.structs.replace(call, value=random.choice("123"))
    return call
