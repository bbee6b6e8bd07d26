"""The Node object and the node's Lease."""

from __future__ import annotations

import orjson
import pytest
import trio
from trio.testing import MockClock

from ha.http import Request, Response, StreamingResponse
from ha.http import serve as http_serve
from ha.kube.kinds import LEASE, NODE, POD
from ha.world import Address, Host, Stream
from tests.unit.kube.fake_api import PORT
from tests.unit.node.cluster import Cluster, conditions


async def test_node_registers_with_labels_taints_and_capacity(autojump_clock: MockClock, cluster: Cluster) -> None:
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    await cluster.boot("n1", labels={"role": "x"}, taints=[taint], cpu="4", max_pods=20)
    await trio.sleep(1)
    node = cluster.api.get(NODE, "n1")
    assert node["metadata"]["labels"]["role"] == "x"
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    assert node["spec"]["taints"] == [taint]
    assert (node["status"]["allocatable"]["cpu"], node["status"]["capacity"]["pods"]) == ("4", "20")
    assert conditions(node) == {
        "Ready": "True",
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
    }
    assert {"type": "InternalIP", "address": cluster.world.address("n1")} in node["status"]["addresses"]


async def test_node_of_a_cloud_waits_to_be_initialised_and_keeps_the_addresses_that_it_is_given(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1", cloud_provider="external")
    await trio.sleep(1)
    node = cluster.api.get(NODE, "n1")
    (taint,) = node["spec"]["taints"]
    assert taint == {
        "key": "node.cloudprovider.kubernetes.io/uninitialized",
        "value": "true",
        "effect": "NoSchedule",
    }
    assert node["status"]["addresses"][0] == {"type": "InternalIP", "address": cluster.world.address("n1")}
    given = [{"type": "ExternalIP", "address": "192.0.2.1"}]
    cluster.api.put(NODE, {**node, "status": {**node["status"], "addresses": given}})
    await trio.sleep(400)  # the status is reported every five minutes
    assert cluster.api.get(NODE, "n1")["status"]["addresses"] == given


async def test_returning_node_keeps_its_taints_and_brings_its_labels_up_to_date(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    taints = [{"key": "x", "effect": "NoSchedule"}]
    cluster.api.put(NODE, {"metadata": {"name": "n1", "labels": {"mine": "1"}}, "spec": {"taints": taints}})
    await cluster.boot("n1", labels={"role": "x"})
    await trio.sleep(1)
    node = cluster.api.get(NODE, "n1")
    assert node["spec"]["taints"] == taints
    assert (node["metadata"]["labels"]["mine"], node["metadata"]["labels"]["role"]) == ("1", "x")
    assert conditions(node)["Ready"] == "True"


async def test_lease_is_renewed_and_owned_by_the_node(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    await trio.sleep(15)
    lease = cluster.api.get(LEASE, "n1", "kube-node-lease")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseDurationSeconds"]) == ("n1", 40)
    assert lease["metadata"]["ownerReferences"][0]["uid"] == cluster.api.get(NODE, "n1")["metadata"]["uid"]
    await trio.sleep(11)
    assert cluster.api.get(LEASE, "n1", "kube-node-lease")["spec"]["renewTime"] > lease["spec"]["renewTime"]


async def test_status_is_written_when_it_changes_or_each_five_minutes(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1")
    await trio.sleep(1000)
    patches = [r for r in cluster.api.requests if r == ("PATCH", "/api/v1/nodes/n1/status")]
    assert 3 <= len(patches) <= 5


async def test_node_declared_unknown_is_put_right(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    await trio.sleep(1)
    node = cluster.api.get(NODE, "n1")
    unknown = [{**c, "status": "Unknown"} for c in node["status"]["conditions"]]
    cluster.api.put(NODE, {**node, "status": {**node["status"], "conditions": unknown}})
    await trio.sleep(11)
    assert conditions(cluster.api.get(NODE, "n1"))["Ready"] == "True"


class Relay:
    """A balancer that holds on to connections which lead nowhere any more, and relays new ones."""

    def __init__(self, server: Address) -> None:
        self.server = server
        self._pumps: list[trio.CancelScope] = []

    async def serve(self, host: Host, *, task_status: trio.TaskStatus[None]) -> None:
        async def relay(client: Stream) -> None:
            server = await host.net.dial(self.server)
            with trio.CancelScope() as scope:
                self._pumps.append(scope)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_pump, client, server, nursery.cancel_scope)
                    nursery.start_soon(_pump, server, client, nursery.cancel_scope)
            if scope.cancelled_caught:
                await trio.sleep_forever()  # frozen: the connection stays open
            await client.aclose()

        listener = await host.net.listen(PORT)
        await trio.serve_listeners(relay, [listener], task_status=task_status)

    def freeze(self) -> None:
        for scope in self._pumps:
            scope.cancel()


async def _pump(source: Stream, sink: Stream, scope: trio.CancelScope) -> None:
    while data := await source.receive_some(65536):
        await sink.send_all(data)
    scope.cancel()


async def test_heartbeat_leaves_a_connection_that_leads_nowhere(autojump_clock: MockClock, cluster: Cluster) -> None:
    relay = Relay(Address(cluster.world.address("api"), PORT))
    await cluster.world.start("lb", relay.serve)
    await cluster.boot("n1", api_server=f"{cluster.world.address('lb')}:{PORT}", client_timeout_s=2.0)
    await trio.sleep(25)
    before = cluster.api.get(LEASE, "n1", "kube-node-lease")["spec"]["renewTime"]
    relay.freeze()
    cluster.add_pod("web")
    await trio.sleep(10.4 + 2.0 + 0.5)
    assert cluster.api.get(LEASE, "n1", "kube-node-lease")["spec"]["renewTime"] > before
    await trio.sleep(0.5)
    assert cluster.processes("n1") == ["default_web_c"], "the frozen watch was ended with it"


async def test_heartbeat_leaves_a_server_that_refuses(autojump_clock: MockClock, cluster: Cluster) -> None:
    """Behind a balancer, a new connection may lead to a server that can do better."""
    sick = False

    async def handle(request: Request) -> Response | StreamingResponse:
        if sick:
            return Response(503, b'{"kind":"Status","code":503,"reason":"ServiceUnavailable","message":"no leader"}')
        return await cluster.api.handle(request)

    async def serve(host: Host, *, task_status: trio.TaskStatus[None]) -> None:
        await http_serve(await host.net.listen(PORT), handle, task_status=task_status)

    await cluster.world.start("api2", serve)
    relay = Relay(Address(cluster.world.address("api2"), PORT))
    await cluster.world.start("lb", relay.serve)
    await cluster.boot("n1", api_server=f"{cluster.world.address('lb')}:{PORT}")
    await trio.sleep(25)
    before = cluster.api.get(LEASE, "n1", "kube-node-lease")["spec"]["renewTime"]
    sick = True
    relay.server = Address(cluster.world.address("api"), PORT)
    await trio.sleep(11)
    assert cluster.api.get(LEASE, "n1", "kube-node-lease")["spec"]["renewTime"] > before


async def test_failed_heartbeat_ends_silent_watches_too(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", client_timeout_s=2.0, node_lease_renew_s=2.0)
    await trio.sleep(5)
    cluster.world.partition(["n1"], ["api"])
    await trio.sleep(6)
    await cluster.world.kill("api")
    cluster.world.heal()
    await cluster.world.start("api", cluster.api.serve)
    cluster.add_pod("web")
    await trio.sleep(6)
    assert cluster.api.get(POD, "web", "default")["status"]["phase"] == "Running"


async def test_api_server_away_for_long_is_asked_with_back_off(autojump_clock: MockClock, cluster: Cluster) -> None:
    async def hang(_: Request) -> None:
        await trio.sleep_forever()

    await cluster.boot("n1")
    await trio.sleep(60)
    cluster.api.fault = hang
    before = len(cluster.api.requests)
    await trio.sleep(600)
    asked = len(cluster.api.requests) - before
    assert asked < 600, "less than one request a second from all loops together"
    cluster.api.fault = None
    lease = cluster.api.get(LEASE, "n1", "kube-node-lease")["spec"]["renewTime"]
    await trio.sleep(15)
    assert cluster.api.get(LEASE, "n1", "kube-node-lease")["spec"]["renewTime"] > lease


async def test_metrics_and_unknown_paths(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    cluster.add_pod("web")
    await trio.sleep(1)
    assert b"kubelet_running_pods 1\n" in (await cluster.ask_kubelet("n1", "/metrics")).body
    assert (await cluster.ask_kubelet("n1", "/nothing")).status == 404
    pods = orjson.loads((await cluster.ask_kubelet("n1", "/pods")).body)
    assert pods["items"][0]["status"]["phase"] == "Running"


@pytest.mark.parametrize("renew_s", [1.0, 10.0])
async def test_lease_is_renewed_soon_after_an_outage(
    autojump_clock: MockClock, cluster: Cluster, renew_s: float
) -> None:
    await cluster.boot("n1", node_lease_renew_s=renew_s)
    await trio.sleep(30)
    await cluster.world.kill("api")
    await trio.sleep(5)
    await cluster.world.start("api", cluster.api.serve)
    back = trio.current_time()
    before = cluster.api.get(LEASE, "n1", "kube-node-lease")["spec"]["renewTime"]
    while cluster.api.get(LEASE, "n1", "kube-node-lease")["spec"]["renewTime"] == before:
        await trio.sleep(0.1)
    assert trio.current_time() - back <= renew_s * 1.05
