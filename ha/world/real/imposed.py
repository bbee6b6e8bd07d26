"""Disturbances from the supervisor's side: what is in force, and what shows that it is.

Each change goes to all processes of the nodes that it concerns, and is done when every one of them has said so; those
that start later are born with it. That they obey shows that a disturbance is in force, and the books that they keep
together what it did; one of links or disks that did nothing at all until it was lifted is not attested, nor a clock
that nobody reads. A bit is flipped from here, since the processes' files are at hand.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from random import Random

import trio

from ha.world import (
    Bandwidth,
    BitFlip,
    ClockOffset,
    ClockRate,
    Cut,
    Delay,
    Disturbance,
    Evidence,
    Link,
    NotAttestedError,
    Refuse,
)
from ha.world.clocks import NodeClock
from ha.world.described import described, nodes_of
from ha.world.real import wire
from ha.world.real.link import Link as Control
from ha.world.real.rot import Flipped, flip, wipe

__all__ = ["Imposed"]

_OBEY_S = 10.0
"""Longer than a process may be busy, or wait for a slow disk."""


class Imposed:
    """What is in force. `nodes`: the world's; `disks`: where theirs are."""

    def __init__(self, control: Control, nodes: Collection[str], disks: Path, seed: int) -> None:
        self._control, self._nodes, self._disks = control, nodes, disks
        self._random = Random(f"{seed}/rot")  # noqa: S311  (reproducible on purpose)
        self._in_force: list[wire.InForce] = []
        self._clocks: dict[str, NodeClock] = {}
        self._flipped: list[tuple[BitFlip, Flipped]] = []
        self._number = 0
        self._telling = trio.Lock()

    async def impose(self, disturbance: Disturbance) -> Evidence:
        """See `ha.world.World`."""
        nodes = self._check(nodes_of(disturbance))
        evidence: dict[str, object] = {"in_force": described(disturbance)}
        match disturbance:
            case BitFlip():
                await trio.lowlevel.checkpoint()
                return evidence | self._flip(disturbance)
            case ClockOffset() | ClockRate():
                clock = self._clock(disturbance.node)
                evidence["clock_before"] = time.time() + clock.ahead_s
                clock.impose(disturbance)
        self._number += 1
        self._in_force.append(wire.InForce(self._number, disturbance))
        number = self._number
        obeyed = list((await self._tell(nodes)).obeyed.values())
        evidence["processes"] = len(obeyed)
        match disturbance:
            case ClockOffset() | ClockRate():
                if not obeyed:
                    raise NotAttestedError(f"nobody on {disturbance.node} reads its clock")
                evidence["clock_after"] = time.time() + obeyed[0].ahead_s
            case Cut() | Delay() | Bandwidth() | Refuse():
                evidence["connections"] = sum(one.connections[number] for one in obeyed)
        return evidence

    async def lift(self, disturbance: Disturbance) -> Evidence:
        """See `ha.world.World`. Raises LookupError when it is not in force."""
        evidence: dict[str, object] = {"lifted": described(disturbance)}
        if isinstance(disturbance, BitFlip):
            await trio.lowlevel.checkpoint()
            return evidence | {"bit": "put right" if self._put_right(disturbance) else "gone with its file"}
        one = next((one for one in self._in_force if one.what == disturbance), None)
        if one is None:
            raise LookupError(f"not in force: {disturbance}")
        self._in_force.remove(one)
        match disturbance:
            case ClockOffset() | ClockRate():
                clock = self._clock(disturbance.node)
                evidence["clock_before"] = time.time() + clock.ahead_s
                clock.lift(disturbance)
                await self._tell([disturbance.node])
                return evidence | {"clock_after": time.time() + clock.ahead_s}
        did = (await self._tell(nodes_of(disturbance))).did[one.number]
        if not did:
            raise NotAttestedError(f"lifted, and nothing had met it: {disturbance}")
        return evidence | did

    async def wipe(self, node: str, *, process: str | None = None) -> Evidence:
        """See `ha.world.World`."""
        self._check([node])
        await trio.lowlevel.checkpoint()
        lost = wipe(self._disks / node, process)
        if not lost:
            raise NotAttestedError(f"nothing is on the disk of {node}")
        return {"emptied": lost}

    async def reset(self, links: Sequence[Link]) -> Evidence:
        """See `ha.world.World`."""
        nodes = self._check(sorted({node for link in links for node in link}))
        count = sum(one.connections[0] for one in (await self._tell(nodes, links)).obeyed.values())
        if not count:
            raise NotAttestedError("no connection was open over these links")
        return {"connections_reset": count}

    def _check(self, nodes: list[str]) -> list[str]:
        for node in nodes:
            if node not in self._nodes:
                raise LookupError(f"no node {node!r}")
        return nodes

    def _clock(self, node: str) -> NodeClock:
        return self._clocks.setdefault(node, NodeClock(time.monotonic))

    def _flip(self, disturbance: BitFlip) -> dict[str, object]:
        flipped = flip(self._disks / disturbance.node, disturbance.process, self._random)
        if flipped is None:
            raise NotAttestedError(f"nothing durable on the disk of {disturbance.node}")
        self._tell_others(flipped)
        self._flipped.append((disturbance, flipped))
        return {"file": flipped.name, "byte": flipped.offset, "bit": flipped.bit}

    def _put_right(self, disturbance: BitFlip) -> bool:
        one = next((one for one in self._flipped if one[0] == disturbance), None)
        if one is None:
            raise LookupError(f"not in force: {disturbance}")
        self._flipped.remove(one)
        is_right = one[1].put_right()
        if is_right:
            self._tell_others(one[1])
        return is_right

    def _tell_others(self, flipped: Flipped) -> None:
        for _, other in self._flipped:
            other.expect(flipped)

    async def _tell(self, nodes: list[str], reset: Sequence[Link] = ()) -> wire.Disturbed:
        """One change after the other, so that the last is the last that everybody hears."""
        with trio.move_on_after(_OBEY_S):
            async with self._telling:
                return await self._control.disturb(nodes, self._in_force, self._wrong_clocks(), reset)
        raise NotAttestedError(f"not all processes of {', '.join(nodes)} obeyed within {_OBEY_S:g} s")

    def _wrong_clocks(self) -> dict[str, wire.WrongClock]:
        now = time.monotonic()
        wrong = {node: clock for node, clock in self._clocks.items() if not clock.is_right}
        return {node: wire.WrongClock(clock.ahead_s, clock.rate, now) for node, clock in wrong.items()}
