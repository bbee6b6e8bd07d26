"""Deployments and ReplicaSets, against the real API server, scheduler and kubelets."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from ha.kube.conditions import condition
from ha.kube.kinds import DEPLOYMENT, POD, REPLICA_SET
from ha.kube.meta import controller_of
from tests.unit.controlplane.cluster import Cluster, deployment, running_cluster


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running_cluster() as cluster:
        await cluster.boot("n1", "n2")
        await cluster.start_scheduler()
        await cluster.start_controllers()
        yield cluster


async def set_image(cluster: Cluster, name: str, image: str) -> None:
    template = {"spec": {"containers": [{"name": "c", "image": image}]}}
    await cluster.client.patch(DEPLOYMENT, name, "default", {"spec": {"template": template}})


async def test_pods_of_a_deployment_run(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 4)
    took = await cluster.until(lambda: cluster.is_rolled_out("web"))
    assert took < 5
    assert Counter((await cluster.nodes_of_pods()).values()) == {"n1": 2, "n2": 2}
    found = await cluster.find(DEPLOYMENT, "web")
    assert found is not None
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert (condition(found, "Available") or {})["status"] == "True"
    progressing = condition(found, "Progressing") or {}
    assert (progressing["status"], progressing["reason"]) == ("True", "NewReplicaSetAvailable")
    (replica_set,) = await cluster.list(REPLICA_SET, "default")
    digest = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{digest}"
    assert all(p["metadata"]["labels"]["pod-template-hash"] == digest for p in await cluster.pods())


async def test_scaling_up_and_down_leaves_exactly_the_wanted_pods(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 3)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    names = set(await cluster.nodes_of_pods())
    for replicas in (12, 2, 0, 5):
        await cluster.client.patch(DEPLOYMENT, "web", "default", {"spec": {"replicas": replicas}})
        await cluster.until(lambda: cluster.is_rolled_out("web"))
        await trio.sleep(5)
        assert len(await cluster.pods(active=False)) == replicas
        names |= set(await cluster.nodes_of_pods())
    assert len(names) == 12 + 5, "not one pod too many was ever made"


async def test_rolling_update_stays_within_its_limits(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 8, strategy={"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}})
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    await set_image(cluster, "web", "web:2")
    most, least = 0, 100
    with trio.fail_after(120):
        while not await cluster.is_rolled_out("web") or (await cluster.replica_sets()).get("web:2") != 8:
            pods = await cluster.pods()
            most = max(most, len(pods))
            least = min(least, sum((condition(p, "Ready") or {}).get("status") == "True" for p in pods))
            await trio.sleep(0.005)
    assert most <= 10
    assert least >= 7
    assert await cluster.replica_sets() == {"web:1": 0, "web:2": 8}
    found = await cluster.find(DEPLOYMENT, "web")
    assert found is not None
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


async def test_rollback_reuses_the_old_replica_set_with_a_new_revision(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.deploy("web", 2)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    for image in ("web:2", "web:1"):
        await set_image(cluster, "web", image)
        await trio.sleep(1)
        await cluster.until(lambda: cluster.is_rolled_out("web"))
    assert await cluster.replica_sets() == {"web:1": 2, "web:2": 0}
    found = await cluster.find(DEPLOYMENT, "web")
    assert found is not None
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


async def test_update_that_never_gets_ready_keeps_the_old_pods_and_times_out(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.deploy("web", 4, progressDeadlineSeconds=30)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    probe = {"httpGet": {"port": 1}, "periodSeconds": 1}
    bad = {"spec": {"containers": [{"name": "c", "image": "web:2", "readinessProbe": probe}]}}
    await cluster.client.patch(DEPLOYMENT, "web", "default", {"spec": {"template": bad}})
    await trio.sleep(60)
    found = await cluster.find(DEPLOYMENT, "web")
    assert found is not None
    assert found["status"]["availableReplicas"] == 3
    progressing = condition(found, "Progressing") or {}
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert (condition(found, "Available") or {})["status"] == "True"


async def test_recreate_never_runs_two_versions_at_once(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 3, strategy={"type": "Recreate"})
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    await set_image(cluster, "web", "web:2")
    with trio.fail_after(120):
        while (await cluster.replica_sets()).get("web:2") != 3 or not await cluster.is_rolled_out("web"):
            images = {p["spec"]["containers"][0]["image"] for p in await cluster.pods(active=False)}
            assert len(images) <= 1
            await trio.sleep(0.005)


async def test_paused_deployment_is_scaled_but_not_rolled_out(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 2)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    await cluster.client.patch(DEPLOYMENT, "web", "default", {"spec": {"paused": True, "replicas": 4}})
    await set_image(cluster, "web", "web:2")
    await trio.sleep(10)
    assert await cluster.replica_sets() == {"web:1": 4}
    await cluster.client.patch(DEPLOYMENT, "web", "default", {"spec": {"paused": False}})
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    assert await cluster.replica_sets() == {"web:1": 0, "web:2": 4}


async def test_old_replica_sets_beyond_the_history_limit_are_removed(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.deploy("web", 1, revisionHistoryLimit=2)
    for i in range(1, 6):
        await set_image(cluster, "web", f"web:{i}")
        await trio.sleep(1)
        await cluster.until(lambda: cluster.is_rolled_out("web"))
    await trio.sleep(5)
    assert sorted(await cluster.replica_sets()) == ["web:3", "web:4", "web:5"]


async def test_deleted_deployment_takes_its_replica_sets_and_pods_along(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.deploy("web", 3)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    await cluster.client.delete(DEPLOYMENT, "web", "default")
    await trio.sleep(10)
    assert await cluster.list(REPLICA_SET, "default") == []
    assert await cluster.pods(active=False) == []


@pytest.mark.parametrize(("policy", "left"), [("Foreground", 0), ("Orphan", 3)])
async def test_owner_waits_for_its_dependents_as_the_propagation_policy_says(
    autojump_clock: MockClock, cluster: Cluster, policy: str, left: int
) -> None:
    await cluster.deploy("web", 3)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
    (replica_set,) = await cluster.list(REPLICA_SET, "default")
    path = "/apis/apps/v1/namespaces/default"
    await cluster.api.delete(f"{path}/deployments/web", {**body, "propagationPolicy": "Orphan"})
    await trio.sleep(5)
    assert await cluster.list(DEPLOYMENT, "default") == []
    assert len(await cluster.list(REPLICA_SET, "default")) == 1
    await cluster.api.delete(f"{path}/replicasets/{replica_set['metadata']['name']}", body)
    await trio.sleep(60)
    assert await cluster.list(REPLICA_SET, "default") == []
    pods = await cluster.pods(active=False)
    assert len(pods) == left
    assert all(controller_of(p) is None for p in pods)


async def test_foreground_deletion_waits_until_the_pods_are_gone(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 2)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    (replica_set,) = await cluster.list(REPLICA_SET, "default")
    cluster.world.partition(["n1", "n2"], ["api"])
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
    path = "/apis/apps/v1/namespaces/default"
    await cluster.api.delete(f"{path}/replicasets/{replica_set['metadata']['name']}", options)
    await trio.sleep(10)
    assert len(await cluster.pods(active=False)) == 2
    kept = [r["metadata"]["uid"] for r in await cluster.list(REPLICA_SET, "default")]
    assert replica_set["metadata"]["uid"] in kept, "their end is not confirmed"
    cluster.world.heal()
    await trio.sleep(60)
    left = [r["metadata"]["uid"] for r in await cluster.list(REPLICA_SET, "default")]
    assert replica_set["metadata"]["uid"] not in left


async def test_pod_without_a_controller_is_adopted(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 2)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    (replica_set,) = await cluster.list(REPLICA_SET, "default")
    labels = replica_set["spec"]["selector"]["matchLabels"]
    spec = replica_set["spec"]["template"]["spec"]
    await cluster.client.create(
        POD, {"metadata": {"name": "stray", "namespace": "default", "labels": labels}, "spec": spec}
    )
    await trio.sleep(10)
    assert len(await cluster.pods()) == 2, "adopted, and one too many removed"


async def test_deleted_pod_is_replaced_at_once(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 2)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    victim = (await cluster.pods())[0]["metadata"]["name"]
    await cluster.client.delete(POD, victim, "default")
    await trio.sleep(2)
    names = [p["metadata"]["name"] for p in await cluster.pods(active=False)]
    assert len(names) == 2
    assert victim not in names


async def test_takeover_in_the_middle_of_a_rollout_ends_with_the_same_result(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.start_controllers("cp2")
    await cluster.deploy("web", 6)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    await set_image(cluster, "web", "web:2")
    while not 0 < (await cluster.replica_sets()).get("web:2", 0) < 6:
        await trio.sleep(0.001)
    await cluster.world.kill("cp", "kube-controller-manager")
    await trio.sleep(1)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    assert await cluster.replica_sets() == {"web:1": 0, "web:2": 6}
    assert len(await cluster.pods(active=False)) == 6
    assert await cluster.holder("kube-controller-manager") == "cp2"


async def test_unanswered_requests_make_no_pod_too_many(autojump_clock: MockClock, cluster: Cluster) -> None:
    """The controller-manager loses the answers to its requests for a while; the requests themselves get through."""
    await trio.sleep(5)
    cluster.world.slow("api", "cp", 2.5)
    await cluster.client.create(DEPLOYMENT, deployment("web", 5))
    await trio.sleep(8)
    cluster.world.heal()
    await cluster.until(lambda: cluster.is_rolled_out("web"), within_s=120)
    await trio.sleep(60)
    assert len(await cluster.pods(active=False)) == 5
