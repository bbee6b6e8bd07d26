"""The table of kube-proxy against the sentences that define it, for any Services and EndpointSlices."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ha.kube.kinds import Object
from ha.node.proxy.table import Endpoint, fronts, table_of

NODE, ADDRESS = "n1", "10.0.0.1"
NAMES, POLICIES = ("a", "b"), ("Cluster", "Local")


def _condition() -> st.SearchStrategy[Any]:
    return st.sampled_from([True, False, None])


def _endpoint() -> st.SearchStrategy[Object]:
    conditions = st.fixed_dictionaries({"ready": _condition(), "serving": _condition(), "terminating": _condition()})
    return st.builds(
        lambda ip, node, conditions: {
            "addresses": [ip],
            "nodeName": node,
            "conditions": {k: v for k, v in conditions.items() if v is not None},
        },
        st.sampled_from([f"10.64.0.{i}" for i in range(1, 6)]),
        st.sampled_from(["n1", "n2"]),
        conditions,
    )


def _service(name: str) -> st.SearchStrategy[Object]:
    return st.builds(
        lambda external, internal, affinity, ingress: {
            "metadata": {"namespace": "default", "name": name},
            "spec": {
                "clusterIP": "10.96.0.1",
                "externalTrafficPolicy": external,
                "internalTrafficPolicy": internal,
                "sessionAffinity": affinity,
                "ports": [{"port": 80, "nodePort": 30000 + NAMES.index(name)}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": ADDRESS}] if ingress else []}},
        },
        st.sampled_from(POLICIES),
        st.sampled_from(POLICIES),
        st.sampled_from(["None", "ClientIP"]),
        st.booleans(),
    )


def _slice() -> st.SearchStrategy[Object]:
    return st.builds(
        lambda service, endpoints: {
            "metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "ports": [{"port": 8080}],
            "endpoints": endpoints,
        },
        st.sampled_from(NAMES),
        st.lists(_endpoint(), max_size=4),
    )


SERVICES = st.tuples(*(_service(name) for name in NAMES)).map(list)
SLICES = st.lists(_slice(), max_size=4)


def _allowed(endpoints: list[Endpoint], policy: str) -> set[Endpoint]:
    """KEP-1669, as a set: the ready ones; else the terminating ones that serve. Local: of this node only."""
    reachable = {e for e in endpoints if policy == "Cluster" or e.node == NODE}
    ready = {e for e in reachable if e.ready}
    return ready or {e for e in reachable if e.serving and e.terminating}


@given(SERVICES, SLICES)
def test_connections_go_to_exactly_those_who_may_take_them(services: list[Object], slices: list[Object]) -> None:
    for rule in table_of(services, slices, NODE).values():
        spec = services[NAMES.index(rule.name.service)]["spec"]
        assert set(rule.external) == _allowed(rule.endpoints, spec["externalTrafficPolicy"])
        assert set(rule.internal) == _allowed(rule.endpoints, spec["internalTrafficPolicy"])
        assert len({e.address for e in rule.endpoints}) == len(rule.endpoints)


@given(SERVICES, SLICES, st.randoms(use_true_random=False))
def test_order_in_which_objects_are_seen_does_not_matter(
    services: list[Object], slices: list[Object], random: Any
) -> None:
    table = table_of(services, slices, NODE)
    random.shuffle(services)
    random.shuffle(slices)
    for piece in slices:
        random.shuffle(piece["endpoints"])
    again = table_of(services, slices, NODE)
    assert list(again.items()) == list(table.items())
    assert fronts(again, ADDRESS) == fronts(table, ADDRESS)


@given(SERVICES, SLICES)
def test_a_node_listens_exactly_where_it_can_carry_to_somebody(services: list[Object], slices: list[Object]) -> None:
    table = table_of(services, slices, NODE)
    found = fronts(table, ADDRESS)
    assert all(table[name].external for name in found.values())
    reachable = {rule.node_port for rule in table.values() if rule.external}
    assert reachable == found.keys() - {80}
    wanted_80 = [rule.name for rule in table.values() if rule.external and ADDRESS in rule.ingress_ips]
    assert found.get(80) == min(wanted_80, default=None)
