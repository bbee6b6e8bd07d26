import pytest
import trio
from trio.testing import MockClock

from ha.etcd.api import prefix_end
from ha.etcd.machine import EtcdMachine
from tests.fakes.world import FakeWorld
from tests.unit.apiserver.api import Api, api_server

SERVICES = "/api/v1/namespaces/default/services"


def service(name: str, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


async def claims(api: Api, kind: str = "serviceips") -> list[str]:
    prefix = f"/registry/ranges/{kind}/".encode()
    result = await api.etcd.range(prefix, prefix_end(prefix))
    return sorted(kv.key.decode().rpartition("/")[2] for kv in result.kvs)


async def test_a_service_is_given_an_address_of_the_range(api: Api, autojump_clock: MockClock) -> None:
    made = await api.post(SERVICES, service("web"))
    ip = made["spec"]["clusterIP"]
    assert made["spec"]["clusterIPs"] == [ip]
    assert ip.startswith(("10.96.", "10.97.", "10.98.", "10.99.", "10.10", "10.11"))
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert await claims(api) == sorted(["10.96.0.1", ip])


async def test_an_address_is_held_until_its_service_goes(api: Api, autojump_clock: MockClock) -> None:
    await api.post(SERVICES, service("web", clusterIP="10.96.0.10"))
    refused = await api.post(SERVICES, service("other", clusterIP="10.96.0.10"), expect=422)
    assert refused["message"] == (
        'Service "other" is invalid: spec.clusterIPs: Invalid value: []string{"10.96.0.10"}: failed to allocate IP '
        "10.96.0.10: provided IP is already allocated"
    )
    await api.get(f"{SERVICES}/other", expect=404)
    await api.delete(f"{SERVICES}/web")
    await api.post(SERVICES, service("other", clusterIP="10.96.0.10"))


async def test_two_servers_never_hand_out_one_address_twice(world: FakeWorld, autojump_clock: MockClock) -> None:
    machine = EtcdMachine()
    cidr = "10.96.0.0/27"
    async with (
        api_server(world, machine=machine, node="cp-1", service_cidr=cidr) as one,
        api_server(world, machine=machine, node="cp-2", service_cidr=cidr) as two,
    ):
        given: list[str] = []

        async def create(api: Api, name: str) -> None:
            response = await api.request("POST", SERVICES, service(name))
            if response.status == 201:
                given.append((await api.get(f"{SERVICES}/{name}"))["spec"]["clusterIP"])

        async with trio.open_nursery() as nursery:
            for i in range(10):
                nursery.start_soon(create, one, f"one-{i}")
                nursery.start_soon(create, two, f"two-{i}")
        assert len(given) >= 18
        assert len(set(given)) == len(given)
        assert await claims(one) == sorted(["10.96.0.1", *given])


async def test_a_full_range_is_an_error(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with api_server(world, service_cidr="10.96.0.0/30") as api:
        await api.post(SERVICES, service("a", clusterIP="10.96.0.2"))
        refused = await api.post(SERVICES, service("b"), expect=500)
        assert "range is full" in refused["message"]


@pytest.mark.parametrize("ip", ["10.0.0.1", "::1", "nonsense"])
async def test_an_address_outside_the_range_is_refused(ip: str, api: Api, autojump_clock: MockClock) -> None:
    await api.post(SERVICES, service("web", clusterIP=ip), expect=422)


async def test_the_address_stays_when_an_update_leaves_it_out_and_cannot_change(
    api: Api, autojump_clock: MockClock
) -> None:
    made = await api.post(SERVICES, service("web"))
    updated = await api.put(f"{SERVICES}/web", service("web", selector={"app": "web"}))
    assert updated["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    refused = await api.put(f"{SERVICES}/web", service("web", clusterIP="10.96.0.9"), expect=422)
    assert "may not change once set" in refused["message"]


async def test_a_service_that_becomes_internal_is_given_an_address(api: Api, autojump_clock: MockClock) -> None:
    external = {"metadata": {"name": "a"}, "spec": {"type": "ExternalName", "externalName": "example.com"}}
    await api.post(SERVICES, external)
    updated = await api.put(f"{SERVICES}/a", service("a"))
    assert await claims(api) == sorted(["10.96.0.1", updated["spec"]["clusterIP"]])
    await api.post(SERVICES, service("b", clusterIP="10.96.0.77"))
    await api.put(f"{SERVICES}/a", external)
    refused = await api.put(f"{SERVICES}/a", service("a", clusterIP="10.96.0.77"), expect=422)
    assert "provided IP is already allocated" in refused["message"]
    assert await claims(api) == ["10.96.0.1", "10.96.0.77"]


async def test_headless_and_external_services_hold_no_address(api: Api, autojump_clock: MockClock) -> None:
    assert (await api.post(SERVICES, service("headless", clusterIP="None")))["spec"]["clusterIP"] == "None"
    external = {"metadata": {"name": "out"}, "spec": {"type": "ExternalName", "externalName": "example.com"}}
    assert "clusterIP" not in (await api.post(SERVICES, external))["spec"]
    assert await claims(api) == ["10.96.0.1"]


async def test_node_ports_are_held_like_addresses(api: Api, autojump_clock: MockClock) -> None:
    made = await api.post(SERVICES, service("web", type="NodePort"))
    port = made["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    assert await claims(api, "servicenodeports") == [str(port)]
    taken = service("other", type="NodePort", ports=[{"port": 80, "nodePort": port}])
    assert "already allocated" in (await api.post(SERVICES, taken, expect=422))["message"]
    updated = await api.put(f"{SERVICES}/web", service("web", type="NodePort"))
    assert updated["spec"]["ports"][0]["nodePort"] == port
    await api.put(f"{SERVICES}/web", service("web", type="ClusterIP"))
    assert await claims(api, "servicenodeports") == []


async def test_traffic_policies_and_affinity_are_filled_in(api: Api, autojump_clock: MockClock) -> None:
    spec = (await api.post(SERVICES, service("web", type="NodePort", sessionAffinity="ClientIP")))["spec"]
    assert (spec["externalTrafficPolicy"], spec["internalTrafficPolicy"]) == ("Cluster", "Cluster")
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    plain = (await api.post(SERVICES, service("plain")))["spec"]
    assert "externalTrafficPolicy" not in plain
    assert "sessionAffinityConfig" not in plain


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"sessionAffinity": "Cookie"}, 'Unsupported value: "Cookie": supported values: "ClientIP", "None"'),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
            "Invalid value: 86401: must be greater than 0 and less than 86400",
        ),
        ({"externalTrafficPolicy": "Local"}, "may only be set for externally-accessible services"),
        ({"type": "NodePort", "externalTrafficPolicy": "Near"}, 'Unsupported value: "Near"'),
        ({"internalTrafficPolicy": "Near"}, 'supported values: "Cluster", "Local"'),
    ],
)
async def test_traffic_policies_and_affinity_are_checked(
    spec: dict[str, object], said: str, api: Api, autojump_clock: MockClock
) -> None:
    assert said in (await api.post(SERVICES, service("web", **spec), expect=422))["message"]


async def test_a_patch_of_the_type_gives_up_what_only_the_old_type_has(api: Api, autojump_clock: MockClock) -> None:
    await api.post(SERVICES, service("web", type="LoadBalancer"))
    spec = (await api.patch(f"{SERVICES}/web", {"spec": {"type": "ClusterIP"}}))["spec"]
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert not {"externalTrafficPolicy", "allocateLoadBalancerNodePorts"} & spec.keys()
    assert await claims(api, "servicenodeports") == []


async def test_the_service_of_the_api_itself_has_the_first_address(api: Api, autojump_clock: MockClock) -> None:
    kubernetes = await api.get(f"{SERVICES}/kubernetes")
    assert kubernetes["spec"]["clusterIP"] == "10.96.0.1"
