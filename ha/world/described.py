"""Disturbances in words, as evidence tells of them: the same in every world."""

from __future__ import annotations

import msgspec

from ha.world import Bandwidth, BitFlip, Cut, Delay, DiskError, DiskFull, Disturbance, Refuse, SlowDisk, TornWrite

__all__ = ["described", "hits", "nodes_of"]


def described(disturbance: Disturbance) -> dict[str, object]:
    """A disturbance for people: its kind, and its fields."""
    fields = msgspec.structs.asdict(disturbance)
    links = fields.pop("links", None)
    if links is not None:
        fields["links"] = [f"{source} → {destination}" for source, destination in links]
    return {"kind": type(disturbance).__name__, **{name: value for name, value in fields.items() if value is not None}}


def nodes_of(disturbance: Disturbance) -> list[str]:
    """The nodes that it names, sorted."""
    match disturbance:
        case Cut() | Delay() | Bandwidth() | Refuse():
            return sorted({node for link in disturbance.links for node in link})
    return [disturbance.node]


def hits(disturbance: DiskFull | DiskError | SlowDisk | TornWrite | BitFlip, node: str, process: str) -> bool:
    """Whether it is one of the disk of this process."""
    return disturbance.node == node and disturbance.process in (None, process)
