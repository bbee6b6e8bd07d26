"""Who lacks what it needs, for every shape of partition."""

from __future__ import annotations

from itertools import permutations

import pytest

from ha.check.reach import cut_off
from ha.history.result import NodeRecord

CONTROL = ["kube-apiserver", "kube-scheduler", "kube-controller-manager", "kubelet"]


def nodes(stacked: int = 0, external: int = 0) -> list[NodeRecord]:
    names = [f"cp-{i}" for i in range(1, (stacked or 3) + 1)]
    found = {name: ["etcd", *CONTROL] if stacked else CONTROL for name in names}
    found |= {f"etcd-{i}": ["etcd", "kubelet"] for i in range(1, external + 1)}
    found |= {"w-1": ["kubelet"]} | ({"lb": ["load-balancer"]} if len(names) > 1 else {})
    return [NodeRecord(name=n, role="worker", address="", components=parts) for n, parts in found.items()]


def between(here: list[str], there: list[str], *, both: bool = True) -> set[tuple[str, str]]:
    out = {(a, b) for a in here for b in there}
    return out | ({(b, a) for a, b in out} if both else set())


@pytest.mark.parametrize("both", [True, False])
def test_an_isolated_node_lacks_everything(*, both: bool) -> None:
    """One direction is enough: a connection needs both."""
    shape = nodes(stacked=3)
    others = [node.name for node in shape if node.name != "cp-1"]
    links = between(["cp-1"], others, both=both)
    for component in ("etcd", *CONTROL):
        assert cut_off(component, shape, links) == ["cp-1"]


def test_members_apart_from_one_other_keep_their_majority() -> None:
    shape = nodes(stacked=3)
    assert cut_off("etcd", shape, between(["cp-1"], ["cp-2"])) == []


def test_those_who_are_cut_off_are_not_always_the_target() -> None:
    """Two of three members against the rest: it is the third that has no majority."""
    shape = nodes(stacked=3)
    links = between(["cp-1", "cp-2"], ["cp-3", "w-1"])
    assert cut_off("etcd", shape, links) == ["cp-3"]
    assert cut_off("kube-scheduler", shape, links) == ["cp-3"]
    assert cut_off("kubelet", shape, links) == []


def test_halves_of_an_even_number_have_no_majority() -> None:
    shape = nodes(stacked=4)
    assert len(cut_off("etcd", shape, between(["cp-1", "cp-2"], ["cp-3", "cp-4"]))) == 4


def test_in_a_ring_and_beside_a_bridge_everybody_has_a_majority() -> None:
    shape = nodes(stacked=5)
    ring = {(f"cp-{a}", f"cp-{b}") for a, b in permutations(range(1, 6), 2) if (a - b) % 5 in (2, 3)}
    bridge = between(["cp-1", "cp-2"], ["cp-4", "cp-5"])
    assert cut_off("etcd", shape, ring) == cut_off("etcd", shape, bridge) == []


def test_an_api_server_with_external_etcd_needs_any_member_that_has_a_majority() -> None:
    shape = nodes(external=3)
    assert cut_off("kube-scheduler", shape, between(["cp-1"], ["etcd-1", "etcd-2"])) == []
    assert cut_off("kube-scheduler", shape, between(["cp-1"], ["etcd-1", "etcd-2", "etcd-3"])) == ["cp-1"]
    apart = between(["etcd-1"], ["etcd-2", "etcd-3"])
    assert cut_off("kube-scheduler", shape, apart) == []
    assert cut_off("kube-scheduler", shape, apart | between(["cp-1"], ["etcd-2", "etcd-3"])) == ["cp-1"]


def test_without_a_load_balancer_the_control_plane_is_the_door() -> None:
    shape = nodes(stacked=1)
    assert cut_off("kubelet", shape, between(["w-1"], ["cp-1"])) == ["w-1"]
    assert cut_off("kube-apiserver", shape, between(["w-1"], ["cp-1"])) == []


def test_without_its_load_balancer_nobody_is_reached() -> None:
    shape = nodes(stacked=3)
    links = between(["lb"], ["cp-1", "cp-2", "cp-3", "w-1"])
    assert cut_off("kube-apiserver", shape, links) == ["cp-1", "cp-2", "cp-3"]
    assert cut_off("kubelet", shape, links) == ["cp-1", "cp-2", "cp-3", "w-1"]
    assert cut_off("etcd", shape, links) == []
