"""The linearizability checker, broken in small ways: each must show on generated histories, held against brute force.

A mutant replaces one piece of one module's source. The module is executed anew, and whoever imported something of it
gets the broken one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pkgutil import iter_modules

import ha.check

SEARCH, REVISIONS = "search", "revisions"

MUTANTS = {
    "worse unknown outcomes dominate": (
        SEARCH,
        "search",
        "more & read == read and less & spent == less for",
        "more & read == read for",
    ),
    "fewer reads dominate": (
        SEARCH,
        "search",
        "more & read == read and less & spent == less for",
        "less & spent == less for",
    ),
    "a hidden write is never of use": (
        SEARCH,
        "search",
        "if whole != made and values is not None and at <= values.last_avoided:",
        "if False:",
    ),
    "changes do not end": (
        SEARCH,
        "search",
        "changed ^= bit\n",
        "pass\n",
    ),
    "reads are not taken when they begin": (
        SEARCH,
        "search",
        "if sees(state):\n                        ",
        "if False:\n                        ",
    ),
    "dominance forgets what was changed": (
        SEARCH,
        "search",
        "(at, state, changed), read, spent)",
        "(at, state, 0), read, spent)",
    ),
    "unknown outcomes look only until they were asked": (
        SEARCH,
        "timeline",
        "_FOREVER if unknown else max(",
        "max(",
    ),
    "returns come first at one instant": (
        SEARCH,
        "timeline",
        "(step.returned_s, 1, index)",
        "(step.returned_s, -1, index)",
    ),
    "what is needed is lost although it comes again": (
        SEARCH,
        "timeline",
        "return all(move.makes != state for move in moves)",
        "return True",
    ),
    "what is needed is lost although it is made later": (
        SEARCH,
        "timeline",
        " or self._last_made.get(state, -1) >= at",
        "",
    ),
    "writes that nobody sees are useless": (
        SEARCH,
        "timeline",
        "self.values is not None and at > self.values.last_avoided",
        "self.values is not None",
    ),
    "all writes are blind": (
        SEARCH,
        "timeline",
        "return self.needs is ANY and self.avoids is ANY",
        "return True",
    ),
    "who avoids a value does not look": (
        SEARCH,
        "timeline",
        "for looked_at in (shape.needs, shape.avoids):",
        "for looked_at in (shape.needs,):",
    ),
    "classes of unknown outcomes keep values that faded": (
        SEARCH,
        "timeline",
        "self._join(Shape(shape.needs, shape.avoids, UNOBSERVED), self.classes.pop(shape))",
        "self.classes.pop(shape)",
    ),
    "texts only grow": (
        SEARCH,
        "registers",
        "if replaces or at >= self._end:",
        "if at >= self._end:",
    ),
    "texts only grow, whatever is unknown": (
        SEARCH,
        "registers",
        "if replaces or at >= self._end:",
        "if replaces:",
    ),
    "texts only grow until they are read": (
        SEARCH,
        "registers",
        "self._until.get(read) == now and ",
        "",
    ),
    "a refused cas says nothing": (
        SEARCH,
        "registers",
        'return call.type == "cas"',
        "return False",
    ),
    "an unknown outcome takes effect in time": (
        SEARCH,
        "registers",
        'inf if call.end is None or call.outcome == "info"',
        "inf if call.end is None",
    ),
    "only one key is judged": (
        SEARCH,
        "values",
        "keys.setdefault(call.key, []).append(call)",
        'keys.setdefault("a", []).append(call) if call.key == "a" else None',
    ),
    "what meets is ordered": (
        REVISIONS,
        "realtime",
        'side="left")',
        'side="right")',
    ),
    "writes may repeat a revision": (
        REVISIONS,
        "realtime",
        "(said.revision <= floor)",
        "(said.revision < floor)",
    ),
    "reads may be a little stale": (
        REVISIONS,
        "realtime",
        "floor >= ceiling, ",
        "floor > ceiling, ",
    ),
    "creations are not checked": (
        REVISIONS,
        "chains",
        "demands != found)",
        "(demands != found) & (demands > 0))",
    ),
    "updates may be lost": (
        REVISIONS,
        "chains",
        "demands != found)",
        "(demands != found) & (demands == 0))",
    ),
    "deletions are not checked": (
        REVISIONS,
        "chains",
        "said.deletes[version] & (found == 0)",
        "False",
    ),
    "loose revisions are no versions": (
        REVISIONS,
        "chains",
        "np.fromiter(binding.loose, np.int64, len(binding.loose))",
        "np.zeros(0, np.int64)",
    ),
    "two may have one revision": (
        REVISIONS,
        "binding",
        "if len(twice):",
        "if False:",
    ),
    "values may differ": (
        REVISIONS,
        "binding",
        " | differs)",
        ")",
    ),
    "keys may differ": (
        REVISIONS,
        "binding",
        "(said.key[owner] != said.key[sighted]) | ",
        "",
    ),
    "one write may be bound twice": (
        REVISIONS,
        "binding",
        "self._by_value[key, int(said.value[writer])].remove(writer)",
        "pass",
    ),
    "a loose revision may be made before it was asked for": (
        REVISIONS,
        "matching",
        "(floor[open_] < revision) & ",
        "",
    ),
    "one write makes many revisions": (
        REVISIONS,
        "matching",
        "if free is None:\n            return False",
        "if free is None:\n            return True",
    ),
    "a loose cas needs nothing": (
        REVISIONS,
        "matching",
        " & ((said.demands[open_] == NONE) | (said.demands[open_] == before))",
        "",
    ),
    "an unknown revision takes effect in time": (
        REVISIONS,
        "said",
        "np.where(unknown, inf, columns.end_s[row])",
        "columns.end_s[row].copy()",
    ),
    "refusals show nothing": (
        REVISIONS,
        "said",
        "np.where(unknown, ~reads, told |",
        "np.where(unknown, ~reads, (ok & told) |",
    ),
    "refusals are always right": (
        REVISIONS,
        "order",
        "if len(wrong):",
        "if False:",
    ),
    "open deletions excuse absences": (
        REVISIONS,
        "order",
        " | (deletable & self._absent())",
        "",
    ),
    "writes without a revision need no search": (
        REVISIONS,
        "order",
        "self._keys_of(unplaced) | ",
        "",
    ),
    "suspects are let go": (
        REVISIONS,
        "order",
        "in_doubt[list(suspects)] = True",
        "pass",
    ),
}
"""By name: the engine, the module of `ha.check`, what is replaced, and by what."""


_MODULES = [import_module(f"ha.check.{module.name}") for module in iter_modules(ha.check.__path__)]
"""All of them, so that nobody imports a broken one later and keeps it."""


@contextmanager
def broken(module_name: str, old: str, new: str) -> Iterator[None]:
    """`ha.check` with one piece replaced."""
    module = import_module(f"ha.check.{module_name}")
    source = inspect.getsource(module)
    assert source.count(old) >= 1, f"{module_name} has no {old!r} any more"
    before = {user: dict(vars(user)) for user in _MODULES}
    exec(compile(source.replace(old, new), module.__file__ or "", "exec"), vars(module))
    original = {id(value): name for name, value in before[module].items() if not name.startswith("__")}
    try:
        for user in _MODULES:
            for name, value in before[user].items():
                theirs = original.get(id(value))
                if user is not module and theirs is not None and getattr(value, "__module__", "") == module.__name__:
                    setattr(user, name, vars(module)[theirs])
        yield
    finally:
        for user, names in before.items():
            vars(user).update(names)
