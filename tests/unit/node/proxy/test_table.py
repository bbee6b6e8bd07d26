"""Who takes a connection: the rules of k8s.io/kubernetes/pkg/proxy."""

from __future__ import annotations

from typing import Any

import pytest

from ha.kube.kinds import Object
from ha.node.proxy.table import ServicePort, ServicePortName, fronts, table_of
from tests.unit.node.proxy.objects import endpoint, service, slice_

WEB = ServicePortName("default", "web", "", "TCP")


def rule(web: Object, *slices: Object) -> ServicePort:
    return table_of([web], slices, "n1")[WEB]


def external(*endpoints: Object, **spec: Any) -> list[str]:
    return [e.ip for e in rule(service(**spec), slice_(*endpoints)).external]


def test_ready_endpoints_of_all_nodes_take_connections() -> None:
    assert external(endpoint("a"), endpoint("b", "n2"), endpoint("c", state="unready")) == ["a", "b"]


def test_terminating_endpoints_that_serve_take_them_only_when_nobody_is_ready() -> None:
    assert external(endpoint("a"), endpoint("b", state="leaving")) == ["a"]
    assert external(endpoint("a", state="unready"), endpoint("b", state="leaving"), endpoint("c", state="lost")) == [
        "b"
    ]
    assert external(endpoint("a", state="lost")) == []


def test_policy_local_keeps_connections_from_outside_on_the_node() -> None:
    found = rule(service(externalTrafficPolicy="Local"), slice_(endpoint("a"), endpoint("b", "n2")))
    assert ([e.ip for e in found.external], [e.ip for e in found.internal]) == (["a"], ["a", "b"])


def test_policy_local_falls_back_to_terminating_endpoints_of_the_node_not_to_ready_ones_elsewhere() -> None:
    endpoints = (endpoint("a", state="leaving"), endpoint("b", "n2"))
    assert external(*endpoints, externalTrafficPolicy="Local") == ["a"]


def test_internal_policy_concerns_the_cluster_ip_alone() -> None:
    found = rule(service(internalTrafficPolicy="Local"), slice_(endpoint("a"), endpoint("b", "n2")))
    assert ([e.ip for e in found.external], [e.ip for e in found.internal]) == (["a", "b"], ["a"])


def test_conditions_that_are_not_given_count_as_ready() -> None:
    assert external({"addresses": ["a"]}) == ["a"]


def test_an_endpoint_in_two_slices_counts_once_and_in_its_better_state() -> None:
    slices = [slice_(endpoint("a", state="unready")), slice_(endpoint("a"), name="web-2")]
    for pieces in (slices, slices[::-1]):
        found = rule(service(), *pieces)
        assert [e.ip for e in found.endpoints] == [e.ip for e in found.external] == ["a"]


def test_ports_are_matched_by_name() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "admin", "port": 81}]
    piece = {**slice_(endpoint("a")), "ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 9090}]}
    table = table_of([service(ports=ports)], [piece], "n1")
    assert {str(name): [e.address.port for e in found.external] for name, found in table.items()} == {
        "default/web:admin": [9090],
        "default/web:http": [8080],
    }


@pytest.mark.parametrize(
    "web",
    [
        service(clusterIP="None"),
        service(type="ExternalName", externalName="example.com"),
        {
            **service(),
            "metadata": {**service()["metadata"], "labels": {"service.kubernetes.io/service-proxy-name": "x"}},
        },
    ],
)
def test_services_without_an_address_or_of_another_proxy_are_left_out(web: Object) -> None:
    assert table_of([web], [slice_(endpoint("a"))], "n1") == {}


def test_slices_of_other_services_namespaces_and_families_are_left_out() -> None:
    other_namespace = {**slice_(endpoint("b")), "metadata": {**slice_()["metadata"], "namespace": "kube-system"}}
    other_family = {**slice_(endpoint("c"), name="web-6"), "addressType": "IPv6"}
    found = rule(service(), slice_(endpoint("d"), service="api"), other_namespace, other_family)
    assert found.endpoints == []


def test_affinity_lasts_three_hours_unless_told() -> None:
    assert rule(service()).affinity_s is None
    assert rule(service(sessionAffinity="ClientIP")).affinity_s == 10800
    config = {"clientIP": {"timeoutSeconds": 5}}
    assert rule(service(sessionAffinity="ClientIP", sessionAffinityConfig=config)).affinity_s == 5


def test_a_node_listens_on_node_ports_and_where_it_is_an_ingress_itself() -> None:
    web = service(node_port=30080, ingress=("10.0.0.1", "10.0.0.2"))
    table = table_of([web], [slice_(endpoint("a"))], "n1")
    assert fronts(table, "10.0.0.1") == {30080: WEB, 80: WEB}
    assert fronts(table, "10.0.0.3") == {30080: WEB}


def test_nobody_listens_for_a_service_that_nobody_could_serve() -> None:
    web = service(node_port=30080, externalTrafficPolicy="Local")
    assert fronts(table_of([web], [slice_(endpoint("a", "n2"))], "n1"), "10.0.0.1") == {}
    assert fronts(table_of([web], [slice_(endpoint("a", "n1"))], "n1"), "10.0.0.1") == {30080: WEB}


def test_an_ingress_that_is_a_proxy_itself_is_not_short_cut() -> None:
    web = service(ingress=("10.0.0.1",))
    web["status"]["loadBalancer"]["ingress"][0]["ipMode"] = "Proxy"
    assert fronts(table_of([web], [slice_(endpoint("a"))], "n1"), "10.0.0.1") == {}


def test_of_two_services_that_claim_one_port_the_first_by_name_has_it() -> None:
    both = [service(name, ingress=("10.0.0.1",)) for name in ("b", "a")]
    slices = [slice_(endpoint("x"), service=name, name=f"{name}-1") for name in ("a", "b")]
    assert fronts(table_of(both, slices, "n1"), "10.0.0.1") == {80: ServicePortName("default", "a", "", "TCP")}
