"""Rules of single kinds; their wording is upstream's."""

from typing import Any

import pytest
from trio.testing import MockClock

from tests.unit.apiserver.api import CONFIGMAPS, DEPLOYMENTS, PODS, Api, configmap, deployment, pod

NAMESPACED = "/api/v1/namespaces/default"
EVENTS = f"{NAMESPACED}/events"
SECRETS = f"{NAMESPACED}/secrets"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


def labelled(labels: dict[str, str]) -> dict[str, Any]:
    body = configmap("a")
    body["metadata"]["labels"] = labels
    return body


def with_containers(*containers: dict[str, Any]) -> dict[str, Any]:
    return pod("p", containers=list(containers))


CASES = [
    (CONFIGMAPS, labelled({"a b": "x"}), 'metadata.labels: Invalid value: "a b": name part must consist of'),
    (CONFIGMAPS, labelled({"a": "x y"}), 'metadata.labels: Invalid value: "x y": a valid label must be an empty'),
    (CONFIGMAPS, configmap("a" * 254), "must be no more than 253 characters"),
    (CONFIGMAPS, configmap("a", **{"b c": "x"}), 'data[b c]: Invalid value: "b c": a valid config key must consist'),
    (PODS, with_containers({"image": "i"}), "spec.containers[0].name: Required value"),
    (PODS, with_containers({"name": "c"}), "spec.containers[0].image: Required value"),
    (PODS, with_containers(*[{"name": "c", "image": "i"}] * 2), 'spec.containers[1].name: Duplicate value: "c"'),
    (
        PODS,
        pod("p", restartPolicy="Maybe"),
        'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always"',
    ),
    (DEPLOYMENTS, deployment("d", replicas=-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
    (DEPLOYMENTS, deployment("d", selector=None), "spec.selector: Required value"),
    (DEPLOYMENTS, deployment("d", template=None), "spec.template: Required value"),
    (DEPLOYMENTS, deployment("d", selector={}), "empty selector is invalid for deployment"),
    (
        DEPLOYMENTS,
        deployment("d", strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
    ),
    (DEPLOYMENTS, deployment("d", strategy={"type": "Big"}), 'spec.strategy.type: Unsupported value: "Big"'),
    (
        EVENTS,
        {"metadata": {"name": "e"}, "involvedObject": {"namespace": "other"}},
        'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
    ),
    (SECRETS, {"metadata": {"name": "s"}, "data": {"a": "not base64!"}}, "data[a]: Invalid value"),
    (SLICES, {"metadata": {"name": "s"}}, "addressType: Required value"),
    (
        SLICES,
        {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": [{"addresses": ["x"]}]},
        'endpoints[0].addresses[0]: Invalid value: "x": must be a valid IP address',
    ),
    (
        LEASES,
        {"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 0}},
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
    ),
    ("/api/v1/namespaces", {"metadata": {"name": "a.b"}}, "a lowercase RFC 1123 label must consist of"),
    (
        f"{NAMESPACED}/services",
        {"metadata": {"name": "1a"}, "spec": {"ports": [{"port": 1}]}},
        "a DNS-1035 label must consist of",
    ),
    (f"{NAMESPACED}/services", {"metadata": {"name": "a"}, "spec": {}}, "spec.ports: Required value"),
    (
        "/api/v1/nodes",
        {"metadata": {"name": "n"}, "spec": {"taints": [{"key": "a", "effect": "Never"}]}},
        'spec.taints[0].effect: Unsupported value: "Never"',
    ),
    (
        f"{NAMESPACED}/endpoints",
        {"metadata": {"name": "e"}, "subsets": [{"ports": [{"port": 1}]}]},
        "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
    ),
]


@pytest.mark.parametrize(("path", "body", "fault"), CASES, ids=[f"{i}-{c[2][:30]}" for i, c in enumerate(CASES)])
async def test_an_object_that_breaks_a_rule_is_422_and_says_which(
    path: str, body: dict[str, Any], fault: str, api: Api, autojump_clock: MockClock
) -> None:
    refused = await api.post(path, body, expect=422)
    assert refused["reason"] == "Invalid"
    assert fault in refused["message"]


async def test_immutable_data_stays(api: Api, autojump_clock: MockClock) -> None:
    await api.post(CONFIGMAPS, configmap("a", x="1") | {"immutable": True})
    refused = await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": "2"}}, expect=422)
    assert "data: Forbidden: field is immutable when `immutable` is set" in refused["message"]
    refused = await api.patch(f"{CONFIGMAPS}/a", {"immutable": False}, expect=422)
    assert "immutable: Forbidden" in refused["message"]


async def test_a_secrets_text_is_encoded_and_its_type_stays(api: Api, autojump_clock: MockClock) -> None:
    made = await api.post(SECRETS, {"metadata": {"name": "s"}, "stringData": {"a": "text"}})
    assert (made["data"], made["type"]) == ({"a": "dGV4dA=="}, "Opaque")
    assert "stringData" not in made
    refused = await api.patch(f"{SECRETS}/s", {"type": "other"}, expect=422)
    assert "type: Invalid value" in refused["message"]


async def test_nulls_are_absent_fields(api: Api, autojump_clock: MockClock) -> None:
    body = deployment("d")
    body["metadata"]["creationTimestamp"] = None
    body["spec"]["template"]["metadata"]["creationTimestamp"] = None
    body["spec"]["strategy"] = {}
    body["status"] = {}
    made = await api.post(DEPLOYMENTS, body)
    assert made["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert "creationTimestamp" not in made["spec"]["template"]["metadata"]


async def test_an_event_expires(api: Api, autojump_clock: MockClock) -> None:
    event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}}
    await api.post(EVENTS, event)
    stored = (await api.etcd.range(b"/registry/events/default/e")).kvs[0]
    assert stored.lease in api.etcd.machine.leases.ttls_s
    assert api.etcd.machine.leases.ttls_s[stored.lease] >= 3600
    listed = await api.get(f"{EVENTS}?fieldSelector=involvedObject.name%3Dp,involvedObject.kind%3DPod")
    assert len(listed["items"]) == 1


async def test_many_events_share_a_lease(api: Api, autojump_clock: MockClock) -> None:
    for i in range(5):
        await api.post(EVENTS, {"metadata": {"name": f"e{i}"}, "involvedObject": {"namespace": "default"}})
    assert len(api.etcd.machine.leases.ttls_s) == 1
