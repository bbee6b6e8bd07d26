"""Health, metrics, discovery: everything that is no object."""

import orjson
import trio
from trio.testing import MockClock

from tests.fakes.world import FakeWorld
from tests.unit.apiserver.api import CONFIGMAPS, Api, api_server, configmap

ALL_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


async def test_health_texts_are_upstreams(api: Api, autojump_clock: MockClock) -> None:
    for path in ("/readyz", "/livez", "/healthz", "/readyz/etcd"):
        response = await api.request("GET", path)
        assert (response.status, response.body) == (200, b"ok")
    verbose = (await api.request("GET", "/readyz?verbose")).body.decode().splitlines()
    assert verbose[0] == "[+]ping ok"
    assert "[+]etcd ok" in verbose
    assert verbose[-1] == "readyz check passed"
    assert (await api.request("GET", "/readyz/nope")).status == 404


async def test_a_failed_check_is_named_and_withholds_its_reason(api: Api, autojump_clock: MockClock) -> None:
    api.etcd.unavailable = True
    await trio.sleep(3)
    response = await api.request("GET", "/readyz")
    assert response.status == 500
    assert b"[-]etcd failed: reason withheld\n" in response.body
    assert response.body.endswith(b"readyz check failed\n")
    excluded = await api.request("GET", "/readyz?verbose&exclude=etcd")
    assert (excluded.status, b"[+]etcd excluded: ok" in excluded.body) == (200, True)


async def test_health_checks_ask_the_store_nothing(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with api_server(world, store_probe_period_s=3600.0) as api:
        before = api.etcd.requests
        for _ in range(50):
            await api.request("GET", "/readyz")
        assert api.etcd.requests == before


async def test_discovery_lists_groups_and_resources_as_upstream(api: Api, autojump_clock: MockClock) -> None:
    assert (await api.get("/api"))["versions"] == ["v1"]
    groups = await api.get("/apis")
    assert [g["name"] for g in groups["groups"]] == ["apps", "coordination.k8s.io", "discovery.k8s.io"]
    assert groups["groups"][0]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    apps = await api.get("/apis/apps/v1")
    assert (apps["kind"], apps["groupVersion"]) == ("APIResourceList", "apps/v1")
    assert apps["resources"][:3] == [
        {
            "name": "deployments",
            "singularName": "deployment",
            "namespaced": True,
            "kind": "Deployment",
            "verbs": ALL_VERBS,
            "shortNames": ["deploy"],
            "categories": ["all"],
            "storageVersionHash": "8aSe+NMegvE=",
        },
        {
            "name": "deployments/scale",
            "singularName": "",
            "namespaced": True,
            "group": "autoscaling",
            "version": "v1",
            "kind": "Scale",
            "verbs": ["get", "patch", "update"],
        },
        {
            "name": "deployments/status",
            "singularName": "",
            "namespaced": True,
            "kind": "Deployment",
            "verbs": ["get", "patch", "update"],
        },
    ]
    core = {r["name"]: r for r in (await api.get("/api/v1"))["resources"]}
    assert core["configmaps"]["storageVersionHash"] == "qFsyl6wFWjQ="
    assert core["namespaces"]["verbs"] == [v for v in ALL_VERBS if v != "deletecollection"]
    assert core["bindings"] == {
        "name": "bindings",
        "singularName": "binding",
        "namespaced": True,
        "kind": "Binding",
        "verbs": ["create"],
    }
    assert core["pods/binding"]["kind"] == "Binding"
    assert "apiVersion" not in await api.get("/api/v1")


async def test_version_and_root_paths(api: Api, autojump_clock: MockClock) -> None:
    assert (await api.get("/version?timeout=32s"))["gitVersion"] == "v1.32.0+ha"
    paths = (await api.get("/"))["paths"]
    assert {"/api/v1", "/apis/apps/v1", "/readyz", "/version"} <= set(paths)


async def test_metrics_count_requests_by_verb_resource_and_code(api: Api, autojump_clock: MockClock) -> None:
    await api.post(CONFIGMAPS, configmap("a"))
    await api.get(f"{CONFIGMAPS}/b", expect=404)
    await api.get(CONFIGMAPS)
    async with api.watch(f"{CONFIGMAPS}?watch=1") as events:
        await anext(events)
        text = (await api.request("GET", "/metrics")).body.decode()
    assert 'apiserver_request_total{code="201",resource="configmaps",verb="POST"} 1\n' in text
    assert 'apiserver_request_total{code="404",resource="configmaps",verb="GET"} 1\n' in text
    assert 'apiserver_request_duration_seconds_count{resource="configmaps",verb="LIST"} 1\n' in text
    assert 'apiserver_longrunning_requests{verb="WATCH"} 1\n' in text
    assert 'apiserver_storage_objects{resource="configmaps"} 1\n' in text


async def test_output_is_pretty_only_on_request(api: Api, autojump_clock: MockClock) -> None:
    await api.post(CONFIGMAPS, configmap("a"))
    plain = (await api.request("GET", f"{CONFIGMAPS}/a")).body
    pretty = (await api.request("GET", f"{CONFIGMAPS}/a?pretty=true")).body
    assert b"\n" not in plain
    assert pretty.startswith(b'{\n  "kind": "ConfigMap"')
    assert orjson.loads(plain) == orjson.loads(pretty)


async def test_kubectl_1_20_reads_an_openapi_document_without_schemas(api: Api, autojump_clock: MockClock) -> None:
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    response = await api.request("GET", "/openapi/v2?timeout=32s", accept=accept)
    assert (response.status, response.body[:5]) == (200, b"\n\x032.0")
    assert response.headers["content-type"] == accept.replace("@", "."), "Go cannot parse a media type with an @"
    assert (await api.get("/openapi/v2"))["swagger"] == "2.0"
