"""kube-proxy carries connections to the pods of a Service, whatever happens to pods, nodes, API server and itself."""

from __future__ import annotations

import errno

import pytest
import trio
from trio.testing import MockClock

from ha.http import ConnectionLost
from ha.kube.kinds import ENDPOINT_SLICE, NODE, SERVICE
from ha.world import Address
from ha.world.sim.network import SimListener, SimNetwork
from tests.unit.node.proxy.conftest import NODE_PORT, Cluster


async def test_every_node_carries_to_every_ready_pod(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose()
    cluster.publish("a", "b", "c")
    await trio.sleep(2)
    for node in ("n1", "n2"):
        assert await cluster.answers(node) == {"a", "b", "c"}


async def test_endpoints_that_come_and_go_are_followed(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose()
    for ready in (("a",), ("a", "c"), ("c",), ("b", "c")):
        cluster.publish(*ready)
        await trio.sleep(2)
        assert await cluster.answers("n1") == set(ready)
    cluster.publish(b="unready", c="lost")
    await trio.sleep(2)
    assert await cluster.ask("n1") == ""
    assert await cluster.table("n1") | {"services": {}} == {"listening": {}, "errors": {}, "services": {}}


async def test_policy_local_is_refused_where_no_pod_is(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose(externalTrafficPolicy="Local")
    cluster.publish("a", "b")
    await trio.sleep(2)
    assert await cluster.answers("n1") == {"a", "b"}
    assert await cluster.answers("n2") == {""}


async def test_a_load_balancers_ingress_that_is_the_node_is_carried_at_the_services_port(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.expose(type="LoadBalancer", ingress=(cluster.world.address("n2"),))
    cluster.publish("a")
    await trio.sleep(2)
    assert (await cluster.ask("n2", 80), await cluster.ask("n1", 80)) == ("a", "")


async def test_a_cluster_ip_is_in_the_table_and_nowhere_else(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose(node_port=0, type="ClusterIP")
    cluster.publish("a", c="unready")
    await trio.sleep(2)
    table = await cluster.table("n1")
    rule = table["services"]["default/web"]
    assert (rule["cluster_ip"], rule["port"]) == ("10.96.0.9", 80)
    assert [e["node"] for e in rule["internal"]] == ["n1"]
    assert len(rule["endpoints"]) == 2
    assert table["listening"] == {}


async def test_a_connection_outlives_changes_of_the_table_as_long_as_its_endpoint_is_there(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.expose()
    cluster.publish("a")
    await trio.sleep(2)
    client = cluster.client("n2")
    for change in (lambda: cluster.publish("b", "c", a="unready"), lambda: cluster.publish("b", a="leaving")):
        assert (await client.request("GET", "/", timeout_s=1.0)).body == b"a"
        change()
        await trio.sleep(2)
        assert "a" not in await cluster.answers("n2")
    cluster.expose(node_port=30090)
    await trio.sleep(2)
    assert (await client.request("GET", "/", timeout_s=1.0)).body == b"a"
    assert (await cluster.ask("n2"), await cluster.ask("n2", 30090)) == ("", "b")


async def test_a_connection_ends_when_its_endpoint_is_gone(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose()
    cluster.publish("c")
    await trio.sleep(2)
    host = cluster.world.host("tester")
    stream = await host.net.dial(Address(cluster.world.address("n1"), NODE_PORT))
    await trio.sleep(1)
    await cluster.world.power_off("n2")  # nobody is left who could reset it
    with trio.move_on_after(60) as waiting:
        await stream.receive_some()
    assert waiting.cancelled_caught
    cluster.publish("a")
    with trio.fail_after(2):
        assert await stream.receive_some() == b""
    assert await cluster.metric("n1", "kubeproxy_connections_cut_total") == 1


async def test_a_deleted_service_is_not_served(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose()
    cluster.publish("a")
    await trio.sleep(2)
    assert await cluster.ask("n1") == "a"
    cluster.api.remove(SERVICE, "web", "default")
    await trio.sleep(2)
    assert await cluster.ask("n1") == ""


async def test_an_endpoint_that_refuses_is_passed_over(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose()
    cluster.publish("a", "b", "c")
    await trio.sleep(2)
    for name in ("a", "b"):
        await cluster.world.kill("n1", f"default_{name}_c")
    began = trio.current_time()
    assert await cluster.answers("n2") == {"c"}
    assert trio.current_time() - began < 1.0
    assert await cluster.metric("n2", "kubeproxy_connections_retried_total") > 0


async def test_an_endpoint_that_is_silent_is_passed_over_in_a_quarter_of_a_second(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.expose()
    cluster.publish("a", "c")
    await trio.sleep(2)
    await cluster.world.power_off("n2")
    for _ in range(20):
        began = trio.current_time()
        assert await cluster.ask("n1") == "a"
        assert trio.current_time() - began < 0.3


async def test_an_endpoint_that_is_slow_to_answer_is_waited_for_in_a_second_round(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.expose()
    cluster.publish("c")
    await trio.sleep(2)
    cluster.world.slow("n1", "n2", 0.5)
    assert await cluster.ask("n1") == "c"


async def test_affinity_keeps_a_client_at_its_pod_until_that_is_gone(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    config = {"clientIP": {"timeoutSeconds": 60}}
    cluster.expose(sessionAffinity="ClientIP", sessionAffinityConfig=config)
    cluster.publish("a", "b", "c")
    await trio.sleep(2)
    first = {by: await cluster.ask("n1", by=by) for by in map(str, range(12))}
    assert len(set(first.values())) > 1
    for _ in range(5):
        await trio.sleep(50)
        assert {by: await cluster.ask("n1", by=by) for by in first} == first
    gone = first["0"]
    cluster.publish(*{"a", "b", "c"} - {gone})
    await trio.sleep(2)
    now = {by: await cluster.ask("n1", by=by) for by in first}
    assert gone not in now.values()
    assert all(now[by] == first[by] for by in first if first[by] != gone)


async def test_affinity_gives_way_to_an_endpoint_that_answers(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose(sessionAffinity="ClientIP")
    cluster.publish("a", "b")
    await trio.sleep(2)
    dead = await cluster.ask("n1")
    await cluster.world.kill("n1", f"default_{dead}_c")
    (alive,) = {"a", "b"} - {dead}
    assert await cluster.answers("n1", 5) == {alive}


async def test_changes_that_come_thick_are_applied_together(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose()
    cluster.publish("a")
    await trio.sleep(2)
    before = await cluster.metric("n1", "kubeproxy_sync_proxy_rules_total")
    for i in range(100):
        cluster.publish("abc"[i % 3])
        await trio.sleep(0.1)
    await trio.sleep(2)
    assert 5 <= await cluster.metric("n1", "kubeproxy_sync_proxy_rules_total") - before <= 12


async def test_forwarding_goes_on_while_the_api_server_is_away(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose()
    cluster.publish("a")
    await trio.sleep(2)
    await cluster.world.power_off("api")
    await trio.sleep(600)
    assert await cluster.ask("n1") == "a"
    assert (await cluster.health("n1"))[0] == 200
    await cluster.world.start("api", cluster.api.serve)
    cluster.publish("c")
    await trio.sleep(5)
    assert await cluster.ask("n1") == "c"


async def test_nothing_is_carried_before_services_and_endpoints_are_known(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.expose()
    cluster.publish("a")
    asked = trio.Event()

    async def fault(request: object) -> None:
        if "endpointslices" in request.path:  # type: ignore[attr-defined]
            asked.set()
            await trio.sleep(10)

    cluster.api.fault = fault
    await cluster.start_proxy("n3")
    await asked.wait()
    assert await cluster.ask("n3") == ""
    cluster.api.fault = None
    await trio.sleep(5)
    assert await cluster.ask("n3") == "a"


async def test_a_killed_proxy_breaks_what_it_carried_and_carries_again_when_it_is_back(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.expose()
    cluster.publish("a")
    await trio.sleep(2)
    client = cluster.client("n2")
    assert (await client.request("GET", "/", timeout_s=1.0)).body == b"a"
    await cluster.world.kill("n2", "kube-proxy")
    with pytest.raises(ConnectionLost):
        await client.request("POST", "/", timeout_s=1.0)
    await cluster.start_proxy("n2")
    await trio.sleep(1)
    assert await cluster.ask("n2") == "a"


async def test_a_port_that_is_taken_makes_the_table_stale_until_it_is_free(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    squatter = await cluster.world.host("n1").net.listen(NODE_PORT)
    cluster.expose()
    cluster.publish("a")
    await trio.sleep(2)
    assert "address in use" in (await cluster.table("n1"))["errors"][str(NODE_PORT)]
    assert (await cluster.health("n1"))[0] == 200
    await trio.sleep(60)
    for path in ("/healthz", "/livez"):
        status, said = await cluster.health("n1", path)
        assert status == 503
        assert said["lastUpdated"] < said["currentTime"]
    assert (await cluster.health("n2"))[0] == 200
    await squatter.aclose()
    await trio.sleep(31)
    assert (await cluster.health("n1"))[0] == 200
    assert await cluster.ask("n1") == "a"


async def test_a_port_without_the_right_to_it_is_told_and_hurts_no_other(
    autojump_clock: MockClock, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = SimNetwork.listen

    async def listen_as_a_user(self: SimNetwork, port: int) -> SimListener:
        if port < 1024:
            raise PermissionError(errno.EACCES, "Permission denied")
        return await listen(self, port)

    monkeypatch.setattr(SimNetwork, "listen", listen_as_a_user)
    cluster.expose(type="LoadBalancer", ingress=(cluster.world.address("n1"),))
    cluster.publish("a")
    await trio.sleep(120)
    assert (await cluster.table("n1"))["errors"] == {"80": "[Errno 13] Permission denied"}
    assert await cluster.ask("n1") == "a"
    assert (await cluster.health("n1"))[0] == 200


@pytest.mark.parametrize(
    "leaving",
    [
        {"metadata": {"name": "n1", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}},
        {"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler"}]}},
    ],
)
async def test_a_node_that_is_to_be_removed_is_not_eligible_but_alive(
    leaving: dict[str, object], autojump_clock: MockClock, cluster: Cluster
) -> None:
    status, said = await cluster.health("n1")
    assert (status, said["nodeEligible"]) == (200, True)
    cluster.api.put(NODE, leaving)
    await trio.sleep(1)
    status, said = await cluster.health("n1")
    assert (status, said["nodeEligible"]) == (503, False)
    status, said = await cluster.health("n1", "/livez")
    assert (status, "nodeEligible" in said) == (200, False)
    assert (await cluster.health("n2"))[0] == 200


async def test_idle_it_asks_for_nothing_but_its_watches(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.expose()
    cluster.publish("a")
    await trio.sleep(2)
    cluster.api.requests.clear()
    await trio.sleep(600)
    watches = {path for _, path in cluster.api.requests}
    assert watches == {"/api/v1/services", "/api/v1/nodes", "/apis/discovery.k8s.io/v1/endpointslices"}
    assert len(cluster.api.requests) <= 2 * 3 * 10


async def test_mode_and_unknown_paths(autojump_clock: MockClock, cluster: Cluster) -> None:
    assert (await cluster.client("n1", 10249).request("GET", "/proxyMode", timeout_s=1.0)).body == b"userspace"
    for port in (10249, 10256):
        assert (await cluster.client("n1", port).request("GET", "/x", timeout_s=1.0)).status == 404


async def test_an_endpoint_that_is_gone_while_it_is_dialled_is_not_waited_for(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.expose()
    cluster.publish("c")
    await trio.sleep(2)
    await cluster.world.power_off("n2")
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            began = trio.current_time()
            assert await cluster.ask("n1") == ""
            assert trio.current_time() - began < 1.0

        nursery.start_soon(ask)
        await trio.sleep(0.1)
        cluster.api.remove(ENDPOINT_SLICE, "web-1", "default")
