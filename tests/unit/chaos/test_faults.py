"""What each fault of links, disks and clocks asks of the world."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from ha.chaos import Victim
from ha.chaos.disturbances import Disturb
from ha.chaos.faults import Action, Strike, registry
from ha.spec import Fault, Target
from ha.spec.faults import FIELDS
from ha.world import (
    Bandwidth,
    BitFlip,
    ClockOffset,
    ClockRate,
    Cut,
    Delay,
    DiskError,
    DiskFull,
    Disturbance,
    Link,
    Refuse,
    SlowDisk,
)

THERE: tuple[Link, ...] = (("a", "x"), ("a", "y"))
BACK: tuple[Link, ...] = (("x", "a"), ("y", "a"))


def actions(name: str, victims: Sequence[str], others: Sequence[str] = ("x", "y"), **fields: object) -> list[Action]:
    fault = Fault(fault=name, target=Target(select="all"), at_s=1, **fields)  # type: ignore[arg-type]
    hit = [Victim(*victim.split("/")) for victim in victims]
    return list(registry()[name].actions(Strike(fault, hit, list(others), Random(fields.get("seed", 1)))))


def asked(name: str, *victims: str, **fields: object) -> list[Disturbance]:
    return [action.disturbance for action in actions(name, victims, **fields) if isinstance(action, Disturb)]


def cut(name: str, count: int, seed: int) -> set[Link]:
    nodes = [f"n{i}" for i in range(count)]
    fault = Fault(fault=name, target=Target(select="all"), at_s=1)  # type: ignore[arg-type]
    [action] = registry()[name].actions(Strike(fault, [Victim(node) for node in nodes], [], Random(seed)))
    assert isinstance(action, Disturb)
    assert isinstance(action.disturbance, Cut)
    links = action.disturbance.links
    assert len(set(links)) == len(links)
    assert all((b, a) in links for a, b in links), "cut both ways"
    return set(links)


def seen_by(node: str, count: int, links: set[Link]) -> set[str]:
    return {f"n{i}" for i in range(count) if (node, f"n{i}") not in links}


@pytest.mark.parametrize(
    ("direction", "links"), [(None, BACK + THERE), ("both", BACK + THERE), ("inbound", BACK), ("outbound", THERE)]
)
def test_inbound_is_what_reaches_the_target_and_outbound_what_leaves_it(
    direction: str | None, links: tuple[Link, ...]
) -> None:
    assert asked("partition", "a", direction=direction) == [Cut(links)]


def test_within_its_target_a_partition_cuts_nothing() -> None:
    [disturbance] = asked("partition", "a", "b", others=["x"])
    assert isinstance(disturbance, Cut)
    assert set(disturbance.links) == {("a", "x"), ("b", "x"), ("x", "a"), ("x", "b")}


@pytest.mark.parametrize("count", range(4, 12))
@pytest.mark.parametrize("seed", [1, 2])
def test_in_a_ring_everybody_sees_another_majority(count: int, seed: int) -> None:
    links = cut("ring-partition", count, seed)
    views = [frozenset(seen_by(f"n{i}", count, links)) for i in range(count)]
    assert links
    assert all(len(view) > count / 2 for view in views)
    assert len(set(views)) == count or count == 4, "no two see the same"


def test_the_seed_orders_the_ring() -> None:
    assert cut("ring-partition", 5, 1) == cut("ring-partition", 5, 1)
    assert len({frozenset(cut("ring-partition", 5, seed)) for seed in range(8)}) > 1


@pytest.mark.parametrize("count", range(3, 9))
def test_a_bridge_sees_both_halves_which_do_not_see_each_other(count: int) -> None:
    links = cut("bridge-partition", count, 3)
    views = {f"n{i}": seen_by(f"n{i}", count, links) for i in range(count)}
    [bridge] = [node for node, view in views.items() if len(view) == count]
    halves = {frozenset(view - {bridge}) for node, view in views.items() if node != bridge}
    small, large = sorted(halves, key=len)
    assert not small & large
    assert len(large) - len(small) <= 1


def test_what_slows_or_refuses_links() -> None:
    assert asked("delay", "a", latency_s=2, jitter_s=1) == [Delay(THERE + BACK, 2, 1)]
    assert asked("delay", "a", latency_s=2) == [Delay(THERE + BACK, 2, 0)]
    assert asked("bandwidth", "a", bytes_per_s=9) == [Bandwidth(THERE + BACK, 9)]
    assert asked("refuse", "a") == [Refuse(BACK)]


def test_what_hits_disks_and_clocks_hits_each_victim() -> None:
    assert asked("disk-full", "a/etcd", "b") == [DiskFull("a", "etcd"), DiskFull("b")]
    assert asked("disk-error", "a") == [DiskError("a")]
    assert asked("slow-disk", "a/etcd", latency_s=3) == [SlowDisk("a", 3, "etcd")]
    assert asked("bit-flip", "a/etcd") == [BitFlip("a", "etcd")]
    assert asked("clock-offset", "a", "b", offset_s=-30) == [ClockOffset("a", -30), ClockOffset("b", -30)]
    assert asked("clock-rate", "a", rate=0.5) == [ClockRate("a", 0.5)]


@pytest.mark.parametrize("name", [name for name, fields in FIELDS.items() if "from" in fields.optional])
def test_a_fault_of_links_without_anybody_at_the_other_end_does_nothing(name: str) -> None:
    """Which the injector tells as a fault that is not attested."""
    values = {"latency": ("latency_s", 1), "bytes_per_s": ("bytes_per_s", 1)}
    fields = dict(values[field] for field in FIELDS[name].required)  # type: ignore[index]
    assert actions(name, ["a"], [], **fields) == []
    assert actions(name, [], ["x"], **fields) == []
