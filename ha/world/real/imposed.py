"""Disturbances from the supervisor's side: what is in force, and what shows that it is.

Each change goes to all processes of the nodes that it concerns, and is done when every one of them has said so; those
that start later are born with it. That they obey shows that a disturbance is in force. What it did they tell when it is
lifted, summed up here over all that live then; one that did nothing at all is not attested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import trio

from ha.world import Disturbance, Evidence, Link, NotAttestedError
from ha.world.described import described, nodes_of
from ha.world.real import wire
from ha.world.real.link import Link as Control

__all__ = ["Imposed"]

_OBEY_S = 10.0
"""Longer than a process may be busy, or wait for a slow disk."""


class Imposed:
    """What is in force. `nodes`: the world's."""

    def __init__(self, control: Control, nodes: Collection[str]) -> None:
        self._control, self._nodes = control, nodes
        self._in_force: list[wire.InForce] = []
        self._number = 0
        self._telling = trio.Lock()

    async def impose(self, disturbance: Disturbance) -> Evidence:
        """See `ha.world.World`."""
        nodes = self._check(nodes_of(disturbance))
        self._number += 1
        one = wire.InForce(self._number, disturbance)
        self._in_force.append(one)
        met = await self._tell(nodes)
        return {
            "in_force": described(disturbance),
            "processes": len(met),
            "connections": sum(int(counts[one.number]["connections"]) for counts in met.values()),
        }

    async def lift(self, disturbance: Disturbance) -> Evidence:
        """See `ha.world.World`. Raises LookupError when it is not in force."""
        one = next((one for one in self._in_force if one.what == disturbance), None)
        if one is None:
            raise LookupError(f"not in force: {disturbance}")
        self._in_force.remove(one)
        met = await self._tell(nodes_of(disturbance))
        did: Counter[str] = Counter()
        for counts in met.values():
            did.update({name: int(n) for name, n in counts.get(one.number, {}).items() if name != "connections"})
        if not any(did.values()):
            raise NotAttestedError(f"lifted, and nothing had met it: {disturbance}")
        return {"lifted": described(disturbance), **did}

    async def reset(self, links: Sequence[Link]) -> Evidence:
        """See `ha.world.World`."""
        met = await self._tell(self._check(sorted({node for link in links for node in link})), links)
        count = sum(int(counts[0]["connections_reset"]) for counts in met.values())
        if not count:
            raise NotAttestedError("no connection was open over these links")
        return {"connections_reset": count}

    def _check(self, nodes: list[str]) -> list[str]:
        for node in nodes:
            if node not in self._nodes:
                raise LookupError(f"no node {node!r}")
        return nodes

    async def _tell(self, nodes: list[str], reset: Sequence[Link] = ()) -> dict[str, dict[int, dict[str, float]]]:
        """One change after the other, so that the last is the last that everybody hears."""
        with trio.move_on_after(_OBEY_S):
            async with self._telling:
                return await self._control.disturb(nodes, self._in_force, reset)
        raise NotAttestedError(f"not all processes of {', '.join(nodes)} obeyed within {_OBEY_S:g} s")
