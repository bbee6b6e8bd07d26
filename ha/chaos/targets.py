"""Whom a fault hits: a target resolved against the cluster as it is at that moment."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from ha.cluster import Plan, View
from ha.spec import Target
from ha.world import Random

__all__ = ["Victim", "resolve"]

_LEASES = {
    "scheduler-leader": "kube-scheduler",
    "controller-manager-leader": "kube-controller-manager",
    "cloud-controller-manager-leader": "cloud-controller-manager",
}


class Victim(msgspec.Struct, frozen=True, order=True):
    """A node, or (`process` given) one process on it."""

    node: str
    process: str | None = None

    def __str__(self) -> str:
        return self.node if self.process is None else f"{self.node}/{self.process}"


async def resolve(
    target: Target, plan: Plan, view: View, random: Random, *, besides: Collection[str] = ()
) -> list[Victim]:
    """The victims, sorted, of all nodes but those in `besides`. Raises NoLeaderSeenError when the target is a leader
    and nobody leads.
    """
    candidates = [node for node in await _select(target.select, plan, view) if node not in besides]
    if target.component is not None:
        candidates = [node for node in candidates if target.component in plan.nodes[node].components]
    chosen = random.sample(candidates, _how_many(target.take, len(candidates)))
    return sorted(Victim(node, target.component) for node in chosen)


async def _select(select: str, plan: Plan, view: View) -> list[str]:
    match select:
        case "all":
            return list(plan.nodes)
        case "etcd":
            return list(plan.members)
        case "etcd-leader":
            return [await view.etcd_leader()]
        case "etcd-followers":
            leader = await view.etcd_leader()
            return [node for node in plan.members if node != leader]
        case "scheduler-leader" | "controller-manager-leader" | "cloud-controller-manager-leader":
            return [await view.lease_leader(_LEASES[select])]
    return [name for name, node in plan.nodes.items() if select in (name, node.role)]


def _how_many(take: str, candidates: int) -> int:
    counts = {
        "one": min(1, candidates),
        "minority": (candidates - 1) // 2,
        "majority": candidates // 2 + 1,
        "all": candidates,
    }
    return max(0, min(candidates, counts[take]))
