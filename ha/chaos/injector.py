"""Runs a schedule of faults: inject, attest, undo.

Each entry of the schedule is a task of its own. Whatever is still in force when the schedule ends, for
whatever reason (the load ended, Ctrl-C), is undone in reverse order of injection; an undo that fails is
recorded and never stops the next one.

An injection that was begun is carried through and recorded, also when the load ends meanwhile: half a restart would
leave a node that nobody boots, and a fault without a record would be one that nobody judges.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Literal

import msgspec
import trio

from ha.chaos.disturbances import cuts
from ha.chaos.faults import Action, Strike, registry
from ha.chaos.targets import Victim, resolve
from ha.cluster import Cluster, NoLeaderSeenError, View
from ha.history import Event, FaultEvent
from ha.spec import Fault, Target
from ha.spec.durations import format_duration
from ha.world import Evidence, Link, NotAttestedError, Random

__all__ = ["Injector"]

_LIMIT_S = 30.0
"""Of one injection and of one undo, neither of which a cancellation interrupts."""


class _Active(msgspec.Struct):
    index: int
    fault: Fault
    victims: list[Victim]
    actions: list[Action]
    """What is in force."""
    struck_at: float
    """By trio's clock. Whom to hit may take a while to find out; the fault lasts from here."""


class Injector:
    """Injects into one cluster; `emit` gets a `FaultEvent` for each injection and each undo."""

    def __init__(
        self,
        cluster: Cluster,
        view: View,
        random: Random,
        *,
        emit: Callable[[Event], None],
        now_s: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._view = view
        self._random = random
        self._emit = emit
        self._now_s = now_s
        self._types = registry()
        self._active: list[_Active] = []
        self._count = 0

    async def run(
        self, faults: Sequence[Fault], *, load_s: float, afterwards: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Run the schedule for the `load_s` seconds that the load lasts, call `afterwards`, then undo what is left."""
        try:
            with trio.move_on_after(load_s):
                start = trio.current_time()
                async with trio.open_nursery() as nursery:
                    for fault in faults:
                        random = Random(self._random.getrandbits(64))
                        nursery.start_soon(self._run_entry, fault, random, start, load_s)
                    nursery.start_soon(trio.sleep, load_s)
            if afterwards is not None:
                await afterwards()
        finally:
            with trio.CancelScope(shield=True):
                await self._undo_all()

    async def _run_entry(self, fault: Fault, random: Random, start: float, load_s: float) -> None:
        for at_s in fault.occurrences_s(load_s):
            await trio.sleep_until(start + at_s)
            active = await self._inject(fault, random)
            if fault.for_s is not None and active is not None:
                await trio.sleep_until(active.struck_at + fault.for_s)
                if active in self._active:  # not healed meanwhile
                    await self._undo(active, active.actions)

    async def _inject(self, fault: Fault, random: Random) -> _Active | None:
        """None when there is nothing to undo."""
        kind = self._types[fault.fault]
        index = self._count
        self._count += 1
        unknown = _Active(index, fault, [], [], trio.current_time())
        begun_s = self._now_s()
        try:
            victims = await resolve(fault.target, self._cluster.plan, self._view, random)
            others = await self._others(fault, victims, random)
        except NoLeaderSeenError as error:
            self._record(begun_s, unknown, "inject", {}, str(error))
            return None
        except trio.Cancelled:
            self._record(begun_s, unknown, "inject", {}, "the load ended before it was known whom to hit")
            raise
        actions = list(kind.actions(Strike(fault, victims, others, random)))
        active = _Active(index, fault, victims, actions, trio.current_time())
        if not kind.instant:
            self._active.append(active)
        await self._act(active, "inject", actions)
        return None if kind.instant else active

    async def _others(self, fault: Fault, victims: Sequence[Victim], random: Random) -> list[str]:
        """The nodes at the other end of the victims' links. Raises NoLeaderSeenError."""
        hit = {victim.node for victim in victims}
        if fault.source is None:
            return [node for node in self._cluster.plan.nodes if node not in hit]
        found = await resolve(fault.source, self._cluster.plan, self._view, random, besides=hit)
        return [victim.node for victim in found]

    async def heal(self, core: Collection[str]) -> None:
        """Undo what keeps these nodes from serving; the rest stays in force. Call it when no new fault comes:
        once the load's time is over, and before `run` ends.
        """
        members = self._cluster.plan.members
        for active in reversed(self._active.copy()):
            inside = [action for action in active.actions if action.hinders(core, members)]
            if inside:
                with trio.CancelScope(shield=True):
                    await self._undo(active, inside)

    async def _undo(self, active: _Active, actions: Sequence[Action]) -> None:
        """Undo all that an occurrence did, or a part of it."""
        ended = list(actions)
        active.actions = [action for action in active.actions if action not in ended]
        if not active.actions and active in self._active:
            self._active.remove(active)
        await self._act(active, "undo", ended)

    async def _act(
        self,
        active: _Active,
        what: Literal["inject", "undo"],
        actions: Sequence[Action],
    ) -> None:
        """Begin or end actions, whatever is cancelled meanwhile, and record what came of it."""
        at_s = self._now_s()
        evidence: dict[str, object] = {}
        failure = f"took over {_LIMIT_S:g} s"
        with trio.CancelScope(shield=True), trio.move_on_after(_LIMIT_S):
            evidence, failure = await self._do(what, actions)
        self._record(at_s, active, what, evidence, failure or ("" if actions else "nobody matched"), cuts(actions))

    async def _undo_all(self) -> None:
        for active in reversed(self._active.copy()):
            await self._undo(active, active.actions)

    async def _do(self, what: Literal["inject", "undo"], actions: Sequence[Action]) -> tuple[dict[str, object], str]:
        """All at once. Returns evidence by action, and what went wrong."""
        evidence: dict[str, object] = {}
        errors: list[str] = []

        async def one(action: Action) -> None:
            try:
                seen = await (action.begin if what == "inject" else action.end)(self._cluster)
            except (LookupError, ValueError, OSError, NotAttestedError) as error:
                errors.append(f"{action}: {error}")
                return
            if not seen:
                errors.append(f"{action}: nothing shows it")
            evidence[str(action)] = seen

        async with trio.open_nursery() as nursery:
            for action in actions:
                nursery.start_soon(one, action)
        return dict(sorted(evidence.items())), "; ".join(sorted(errors))

    def _record(
        self,
        at_s: float,
        active: _Active,
        action: Literal["inject", "undo"],
        evidence: Evidence,
        error: str,
        links: Sequence[Link] = (),
    ) -> None:
        """`at_s`: when the action began. What follows from it may be seen before its evidence is complete."""
        self._emit(
            FaultEvent(
                at_s=at_s,
                took_s=self._now_s() - at_s,
                index=active.index,
                action=action,
                fault=active.fault.fault,
                target=describe(active.fault),
                nodes=sorted({victim.node for victim in active.victims}),
                processes=[str(victim) for victim in active.victims if victim.process is not None],
                links=list(links),
                attested=not error,
                evidence=dict(evidence),
                error=error or None,
            )
        )


def describe(fault: Fault) -> str:
    """Whom a fault hits and how, as one would say it: ``etcd on one control-plane``, ``etcd-leader, 30ms``."""
    details = [] if fault.source is None else [f"from {_who(fault.source)}"]
    if fault.direction not in (None, "both"):
        details.append(f"{fault.direction} only")
    if fault.latency_s is not None:
        details.append(format_duration(fault.latency_s))
    if fault.jitter_s is not None:
        details.append(f"jitter {format_duration(fault.jitter_s)}")
    if fault.bytes_per_s is not None:
        details.append(f"{fault.bytes_per_s:g} bytes/s")
    if fault.offset_s is not None:
        details.append(format_duration(fault.offset_s))
    if fault.rate is not None:
        details.append(f"rate {fault.rate:g}")
    return ", ".join([_who(fault.target), *details])


def _who(target: Target) -> str:
    who = target.select if target.take == "all" else f"{target.take} {target.select}"
    return who if target.component is None else f"{target.component} on {who}"
