"""The search itself: one seed after the other to whoever is free, and what was found.

Each failure is shrunk by the worker that found it, the first of each kind only: the hundredth write lost to the same
bug teaches nothing new. Then it is written as one self-contained Scenario file, which fails again when it is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice
from math import inf
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import trio

from ha.experiment.fuzz import trial
from ha.experiment.fuzz.cases import Space
from ha.experiment.fuzz.repro import text
from ha.experiment.fuzz.trial import Judged, Shrunk
from ha.experiment.fuzz.workers import WorkerLostError, Workers
from ha.spec import rules

__all__ = ["Failure", "Limits", "Listener", "Tally", "search"]

_CASE_LIMIT_S = 300.0
"""Of real time, for one case: simulations that take longer than that do not end."""
_LOST = "worker-lost"
_HANGS = "hangs"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where a search begins and ends, whichever comes first."""

    first_seed: int = 0
    seeds: int | None = None
    """How many; None: no limit."""
    budget_s: float | None = None
    """Of real time, for finding; shrinking comes on top."""
    shrink_s: float = 60.0
    """Of real time, for shrinking one failure."""
    keep_going: bool = False
    """Go on when something was found."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One seed that failed. Figures are those of the shrunk case where there is one."""

    seed: int
    verdict: Literal["fail", "defect"]
    """defect: the testbed itself broke down."""
    kinds: list[str]
    """The checkers that convicted it, the gravest first."""
    reason: str
    digest: str | None = None
    faults: int | None = None
    nodes: int | None = None
    tried: int = 0
    """Cases run to shrink it; 0: not shrunk, since one of its kind was before."""
    repeats: bool = True
    """False: the same case came to something else when it was run again, which is a defect of the simulation."""
    repro: str | None = None
    """The file that repeats it."""


class Tally(msgspec.Struct, kw_only=True):
    """What a search has come to so far."""

    seeds: int = 0
    inconclusive: int = 0
    wall_s: float = 0.0
    """Until now, or the end."""
    virtual_s: float = 0.0
    struck: int = 0
    """Faults that took effect."""
    features: set[int] = msgspec.field(default_factory=set)
    failures: list[Failure] = []


class Listener(Protocol):
    """Told of what happens; must not block."""

    def found(self, judged: Judged) -> None:
        """A seed failed, and is shrunk now."""
        ...

    def failure(self, failure: Failure) -> None:
        """A failure was shrunk and written, and is part of the tally."""
        ...


async def search(
    space: Space,
    limits: Limits,
    *,
    workers: Workers,
    tally: Tally,
    listener: Listener,
    write: Callable[[int, Failure, str], Path],
) -> None:
    """Search until a limit is reached; `tally` is right at any time. `write` keeps the text of a repro file, given
    how many there are already.
    """
    searching = _Search(space, limits, workers, tally, listener, write)
    async with trio.open_nursery() as nursery:
        for _ in range(workers.count):
            nursery.start_soon(searching.run)


class _Search:
    def __init__(
        self,
        space: Space,
        limits: Limits,
        workers: Workers,
        tally: Tally,
        listener: Listener,
        write: Callable[[int, Failure, str], Path],
    ) -> None:
        self._space = space
        self._limits = limits
        self._workers = workers
        self._tally = tally
        self._listener = listener
        self._write = write
        self._seeds: Iterator[int] = islice(count(limits.first_seed), limits.seeds)
        self._begun = trio.current_time()
        self._deadline = inf if limits.budget_s is None else self._begun + limits.budget_s
        self._kinds: set[str] = set()
        self._is_over = False
        self._written = 0

    async def run(self) -> None:
        """One seed after the other."""
        while not self._is_over and trio.current_time() < self._deadline:
            seed = next(self._seeds, None)
            judged = None
            if seed is not None:
                with trio.move_on_at(self._deadline):
                    judged = await self._judge(seed)
            if judged is None:
                return
            self._count(judged)
            if judged.kind is not None:
                self._is_over = not self._limits.keep_going
                await self._found(judged, judged.kind)

    async def _judge(self, seed: int) -> Judged:
        with trio.move_on_after(_CASE_LIMIT_S):
            try:
                return await self._workers.call(trial.judge, self._space, seed)
            except WorkerLostError as error:
                return Judged(seed=seed, verdict="defect", kinds=[_LOST], reason=str(error))
        reason = f"the simulation did not end within {_CASE_LIMIT_S:g} s"
        return Judged(seed=seed, verdict="defect", kinds=[_HANGS], reason=reason)

    def _count(self, judged: Judged) -> None:
        self._tally.seeds += 1
        self._tally.wall_s = trio.current_time() - self._begun
        self._tally.inconclusive += judged.verdict == "inconclusive"
        self._tally.virtual_s += judged.virtual_s
        self._tally.struck += judged.struck
        self._tally.features |= judged.features

    async def _found(self, judged: Judged, kind: str) -> None:
        """Shrink the first failure of a kind; write and record it."""
        shrunk = None
        if kind not in self._kinds:
            self._kinds.add(kind)
            self._listener.found(judged)
            shrunk = await self._shrink(judged.seed, kind)
        failure = _failure(judged, shrunk)
        if shrunk is not None:
            path = self._write(self._written, failure, text(shrunk))
            self._written += 1
            failure = msgspec.structs.replace(failure, repro=str(path))
        self._tally.failures.append(failure)
        self._listener.failure(failure)

    async def _shrink(self, seed: int, kind: str) -> Shrunk | None:
        """None when it cannot be had."""
        if kind in (_LOST, _HANGS):
            return None
        limit_s = self._limits.shrink_s
        with trio.move_on_after(limit_s + _CASE_LIMIT_S):
            try:
                return await self._workers.call(trial.shrink, self._space, seed, kind, limit_s)
            except WorkerLostError:
                return None
        return None


def _failure(judged: Judged, shrunk: Shrunk | None) -> Failure:
    if shrunk is None:
        return Failure(
            seed=judged.seed, verdict=_verdict(judged), kinds=judged.kinds, reason=judged.reason, digest=judged.digest
        )
    return Failure(
        seed=judged.seed,
        verdict=_verdict(shrunk.judged),
        kinds=shrunk.judged.kinds,
        reason=shrunk.judged.reason,
        digest=shrunk.judged.digest,
        faults=len(shrunk.scenario.experiment.faults),
        nodes=len(rules.node_roles(shrunk.scenario.topology)),
        tried=shrunk.tried,
        repeats=shrunk.repeats,
    )


def _verdict(judged: Judged) -> Literal["fail", "defect"]:
    return "defect" if judged.verdict == "defect" else "fail"
