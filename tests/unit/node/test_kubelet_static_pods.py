"""Static pods: the control plane itself. They need no API."""

from __future__ import annotations

import orjson
import pytest
import trio
from trio.testing import MockClock

from ha.kube.kinds import NODE, POD
from tests.unit.node.cluster import Cluster, conditions, manifest


async def test_static_pods_run_without_an_api_server(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.world.kill("api")
    await cluster.boot("n1", static=[manifest("etcd"), manifest("kube-apiserver")])
    await trio.sleep(0.1)
    assert cluster.processes("n1") == ["etcd", "kube-apiserver"]


async def test_kubelet_that_stands_alone_runs_its_static_pods_and_shows_them(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1", static=[manifest("etcd")], api_server=None)
    await trio.sleep(1)
    shown = orjson.loads((await cluster.ask_kubelet("n1", "/pods")).body)["items"]
    assert [(p["metadata"]["name"], p["status"]["phase"]) for p in shown] == [("etcd-n1", "Running")]
    assert (await cluster.ask_kubelet("n1", "/healthz")).body == b"ok"
    assert cluster.api.requests == []


async def test_killed_container_of_a_static_pod_is_back_within_50_ms(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1", static=[manifest("kube-apiserver")])
    await trio.sleep(60)
    before = cluster.process("n1", "kube-apiserver").pid
    await cluster.world.kill("n1", "kube-apiserver")
    await trio.sleep(0.05)
    assert cluster.process("n1", "kube-apiserver").pid != before


async def test_static_pod_is_mirrored_with_its_status(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", static=[manifest("etcd")])
    await trio.sleep(2)
    mirror = cluster.pod("etcd-n1", "kube-system")
    assert mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"]
    assert mirror["metadata"]["ownerReferences"][0]["uid"] == cluster.api.get(NODE, "n1")["metadata"]["uid"]
    assert mirror["status"]["phase"] == "Running"
    assert mirror["spec"]["nodeName"] == "n1"
    assert conditions(mirror)["Ready"] == "True"
    assert {"operator": "Exists", "effect": "NoExecute"} in mirror["spec"]["tolerations"]


async def test_deleted_mirror_comes_back_and_the_static_pod_runs_on(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1", static=[manifest("etcd")])
    await trio.sleep(2)
    pid, uid = cluster.process("n1", "etcd").pid, cluster.pod("etcd-n1", "kube-system")["metadata"]["uid"]
    cluster.api.remove(POD, "etcd-n1", "kube-system")
    await trio.sleep(2)
    mirror = cluster.pod("etcd-n1", "kube-system")
    assert mirror["metadata"]["uid"] != uid
    assert mirror["status"]["phase"] == "Running"
    assert cluster.process("n1", "etcd").pid == pid


async def test_mirror_marked_for_deletion_is_replaced(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", static=[manifest("etcd")])
    await trio.sleep(2)
    mirror = cluster.pod("etcd-n1", "kube-system")
    meta = {**mirror["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    cluster.api.put(POD, {**mirror, "metadata": meta})
    await trio.sleep(2)
    assert "deletionTimestamp" not in cluster.pod("etcd-n1", "kube-system")["metadata"]
    assert cluster.processes("n1") == ["etcd"]


async def test_mirror_of_a_manifest_that_is_gone_is_removed(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", static=[manifest("etcd"), manifest("old")])
    await trio.sleep(2)
    await cluster.world.kill("n1")
    await cluster.boot("n1", static=[manifest("etcd")])
    await trio.sleep(2)
    assert cluster.api.find(POD, "old-n1", "kube-system") is None
    assert cluster.processes("n1") == ["etcd"]


async def test_restarted_kubelet_adopts_what_runs(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", static=[manifest("etcd")])
    cluster.add_pod("web")
    await trio.sleep(2)
    before = {name: cluster.process("n1", name).pid for name in cluster.processes("n1")}
    assert sorted(before) == ["default_web_c", "etcd"]
    await cluster.world.kill("n1", "kubelet")
    await trio.sleep(5)
    await cluster.boot("n1", static=[manifest("etcd")])
    await trio.sleep(5)
    assert {name: cluster.process("n1", name).pid for name in cluster.processes("n1")} == before
    assert cluster.container("web")["restartCount"] == 0
    await cluster.world.kill("n1", "etcd")
    await trio.sleep(0.05)
    assert cluster.processes("n1") == ["default_web_c", "etcd"], "adopted containers are looked after"


async def test_static_pod_with_a_changed_manifest_replaces_the_running_one(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.world.kill("api")
    await cluster.boot("n1", static=[manifest("etcd")])
    await trio.sleep(1)
    pid = cluster.process("n1", "etcd").pid
    await cluster.world.kill("n1", "kubelet")
    await cluster.boot("n1", static=[manifest("etcd", "other-image")])
    await trio.sleep(3)
    assert cluster.process("n1", "etcd").pid != pid


async def test_configuration_reaches_the_program(autojump_clock: MockClock, cluster: Cluster) -> None:
    seen: list[object] = []

    async def program(_host: object, config: object, *, task_status: trio.TaskStatus[None]) -> None:
        seen.append(config)
        task_status.started()
        await trio.sleep_forever()

    cluster.world.programs["crasher"] = program
    await cluster.boot("n1", static=[manifest("etcd", "crasher", member="n1", heartbeat_s=0.1)])
    await trio.sleep(1)
    assert seen == [{"member": "n1", "heartbeat_s": 0.1}]


@pytest.mark.parametrize("away_s", [1, 300])
async def test_mirrors_appear_when_the_api_server_comes_late(
    autojump_clock: MockClock, cluster: Cluster, away_s: int
) -> None:
    await cluster.world.kill("api")
    await cluster.boot("n1", static=[manifest("etcd")])
    await trio.sleep(away_s)
    await cluster.world.start("api", cluster.api.serve)
    await trio.sleep(5)
    assert cluster.pod("etcd-n1", "kube-system")["status"]["phase"] == "Running"
