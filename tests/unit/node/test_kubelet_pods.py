"""Pods from the API: run, restarted, reported, deleted."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from ha.http import Request
from ha.kube import errors
from ha.kube.kinds import POD
from tests.unit.node.cluster import Cluster, conditions, pod


async def test_bound_pod_runs_and_is_reported(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    cluster.add_pod("web")
    cluster.add_pod("elsewhere", node="n2")
    await trio.sleep(1)
    assert cluster.processes("n1") == ["default_web_c"]
    shown = cluster.pod("web")
    assert (shown["status"]["phase"], shown["status"]["hostIP"]) == ("Running", cluster.world.address("n1"))
    assert conditions(shown) == {
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
        "PodScheduled": "True",
    }
    assert "running" in cluster.container("web")["state"]


async def test_deleted_pod_is_stopped_and_its_deletion_confirmed(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    cluster.add_pod("web")
    await trio.sleep(1)
    await cluster.delete("web")
    await trio.sleep(1)
    assert cluster.processes("n1") == []
    assert cluster.api.find(POD, "web", "default") is None


async def test_container_that_does_not_end_is_killed_after_its_grace(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.stubborn_s = 1000
    ended = cluster.world.watch_exits()
    await cluster.boot("n1")
    cluster.add_pod("web", image="stubborn")
    await trio.sleep(1)
    signals: list[tuple[float, str]] = []

    async def signal(name: str, signal: str) -> None:
        await trio.lowlevel.checkpoint()
        signals.append((trio.current_time() - began, signal))
        if signal == "kill":
            cluster.world.end(cluster.world._processes["n1", name], code=None, power_lost=False)

    kubelet_host = cluster.world._processes["n1", "kubelet"].host
    kubelet_host.processes.signal = signal
    began = trio.current_time()
    await cluster.delete("web", grace_s=7)
    await trio.sleep(20)
    assert [s for _, s in signals] == ["terminate", "kill"]
    assert signals[1][0] - signals[0][0] == pytest.approx(7, abs=0.1)
    assert cluster.api.find(POD, "web", "default") is None
    assert ended.statistics().current_buffer_used >= 1


async def test_pod_force_deleted_from_the_api_is_stopped(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    cluster.add_pod("web")
    await trio.sleep(1)
    cluster.api.remove(POD, "web", "default")
    await trio.sleep(1)
    assert cluster.processes("n1") == []


async def test_containers_run_on_while_the_api_server_is_away(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    cluster.add_pod("web")
    await trio.sleep(1)
    await cluster.world.kill("api")
    await trio.sleep(1000)
    await cluster.world.kill("n1", "default_web_c")
    await trio.sleep(1)
    assert cluster.processes("n1") == ["default_web_c"]
    await cluster.world.start("api", cluster.api.serve)
    await trio.sleep(5)
    assert cluster.container("web")["restartCount"] == 1, "what happened meanwhile is reported"


async def test_pod_deleted_while_the_node_was_cut_off_is_stopped_at_its_return(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1")
    cluster.add_pod("evicted")
    cluster.add_pod("forced")
    await trio.sleep(1)
    cluster.world.partition(["n1"], ["api"])
    await trio.sleep(5)
    await cluster.delete("evicted")
    cluster.api.remove(POD, "forced", "default")
    await trio.sleep(300)
    assert cluster.processes("n1") == ["default_evicted_c", "default_forced_c"]
    cluster.world.heal()
    await trio.sleep(60)
    assert cluster.processes("n1") == []
    assert cluster.api.list(POD) == []


async def test_pod_deleted_while_the_kubelet_was_down_is_stopped(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    cluster.add_pod("gone")
    cluster.add_pod("going")
    await trio.sleep(1)
    await cluster.world.kill("n1", "kubelet")
    cluster.api.remove(POD, "gone", "default")
    await cluster.delete("going")
    await cluster.boot("n1")
    await trio.sleep(5)
    assert cluster.processes("n1") == []
    assert cluster.api.list(POD) == []


async def test_pods_of_a_rebooted_node_run_again_and_count_the_restart(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1")
    cluster.add_pod("web")
    await trio.sleep(1)
    await cluster.world.power_off("n1")
    await trio.sleep(10)
    await cluster.boot("n1")
    await trio.sleep(5)
    assert cluster.processes("n1") == ["default_web_c"]
    assert cluster.container("web")["restartCount"] == 1


async def test_crashing_container_backs_off_twice_as_long_each_time(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.crash_after_s = 1.0
    await cluster.boot("n1", container_backoff_s=10, container_backoff_max_s=60)
    cluster.add_pod("web", image="crasher")
    await trio.sleep(300)
    times = [t for t, _ in cluster.starts]
    gaps = [round(b - a - 1.0, 1) for a, b in pairwise(times)]
    assert gaps[:6] == pytest.approx([0, 10, 20, 40, 60, 60], abs=0.2)
    status = cluster.container("web")
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert status["restartCount"] == len(cluster.starts) - 1
    assert conditions(cluster.pod("web"))["Ready"] == "False"
    assert cluster.pod("web")["status"]["phase"] == "Running"


async def test_container_that_ran_well_starts_at_once_again(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.crash_after_s = 1.0
    await cluster.boot("n1", container_backoff_s=10, container_backoff_max_s=60)
    cluster.add_pod("web", image="crasher")
    await trio.sleep(5)
    cluster.crash_after_s = 121.0
    await trio.sleep(8 + 121)
    assert len(cluster.starts) == 4
    ended = cluster.starts[2][0] + 121.0
    assert cluster.starts[3][0] - ended < 0.1


@pytest.mark.parametrize(
    ("policy", "clean", "phase", "starts"),
    [("Never", True, "Succeeded", 1), ("Never", False, "Failed", 1), ("OnFailure", True, "Succeeded", 1)],
)
async def test_restart_policy_ends_a_pod(
    autojump_clock: MockClock,
    cluster: Cluster,
    policy: str,
    clean: bool,  # noqa: FBT001  (a parameter of the test)
    phase: str,
    starts: int,
) -> None:
    cluster.crash_after_s, cluster.exit_cleanly = 1.0, clean
    await cluster.boot("n1")
    cluster.add_pod("job", image="crasher", restartPolicy=policy)
    await trio.sleep(100)
    assert len(cluster.starts) == starts
    assert cluster.pod("job")["status"]["phase"] == phase
    assert cluster.container("job")["state"]["terminated"]["exitCode"] == (0 if clean else 1)
    await cluster.world.kill("n1", "kubelet")
    await cluster.boot("n1")
    await trio.sleep(10)
    assert len(cluster.starts) == starts, "a pod that ended is not run again"
    assert cluster.pod("job")["status"]["phase"] == phase


async def test_pod_that_ended_well_is_never_said_to_have_failed(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.crash_after_s, cluster.exit_cleanly = 1.0, True
    await cluster.boot("n1")
    cluster.add_pod("job", image="crasher", restartPolicy="Never")
    await trio.sleep(5)
    await cluster.world.kill("n1", "kubelet")
    await cluster.boot("n1")
    await trio.sleep(5)
    await cluster.delete("job")
    await trio.sleep(5)
    assert cluster.api.find(POD, "job", "default") is None
    phases = [obj["status"]["phase"] for _, _, plural, obj in cluster.api._log if plural == "pods" and "status" in obj]
    assert set(phases) == {"Pending", "Running", "Succeeded"} or set(phases) == {"Running", "Succeeded"}


async def test_on_failure_restarts_a_failed_container(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.crash_after_s = 1.0
    await cluster.boot("n1")
    cluster.add_pod("job", image="crasher", restartPolicy="OnFailure")
    await trio.sleep(5)
    assert len(cluster.starts) == 2


async def test_readiness_follows_the_probe(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.healthy = False
    await cluster.boot("n1")
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 2, "failureThreshold": 3}
    cluster.add_pod("web", image="server", readinessProbe=probe)
    await trio.sleep(5)
    assert conditions(cluster.pod("web"))["Ready"] == "False"
    assert cluster.pod("web")["status"]["phase"] == "Running"
    cluster.healthy = True
    await trio.sleep(3)
    assert conditions(cluster.pod("web"))["Ready"] == "True"
    cluster.healthy = False
    await trio.sleep(3)
    assert conditions(cluster.pod("web"))["Ready"] == "True", "one failure is not enough"
    await trio.sleep(5)
    assert conditions(cluster.pod("web"))["Ready"] == "False"
    assert len(cluster.starts) == 1


async def test_container_that_fails_its_liveness_probe_is_restarted(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1")
    probe = {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2}
    cluster.add_pod("web", image="server", livenessProbe=probe)
    await trio.sleep(10)
    assert len(cluster.starts) == 1
    cluster.healthy = False
    await trio.sleep(3)
    cluster.healthy = True
    await trio.sleep(5)
    assert len(cluster.starts) == 2
    assert cluster.container("web")["restartCount"] == 1


async def test_startup_probe_holds_the_others_back(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.healthy = False
    await cluster.boot("n1")
    startup = {"httpGet": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30}
    liveness = {"httpGet": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    cluster.add_pod("web", image="server", startupProbe=startup, livenessProbe=liveness)
    await trio.sleep(10)
    assert (len(cluster.starts), cluster.container("web")["started"]) == (1, False)
    cluster.healthy = True
    await trio.sleep(2)
    assert cluster.container("web")["started"]
    assert conditions(cluster.pod("web"))["Ready"] == "True"


async def test_status_that_somebody_else_changed_is_put_right(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    cluster.add_pod("web")
    await trio.sleep(1)
    shown = cluster.pod("web")
    unready = [{**c, "status": "False"} if c["type"] == "Ready" else c for c in shown["status"]["conditions"]]
    unready.append({"type": "DisruptionTarget", "status": "True"})
    cluster.api.put(POD, {**shown, "status": {**shown["status"], "conditions": unready}})
    await trio.sleep(1)
    assert conditions(cluster.pod("web"))["Ready"] == "True"
    assert conditions(cluster.pod("web"))["DisruptionTarget"] == "True", "conditions of others are left alone"


async def test_pod_that_takes_the_name_of_a_deleted_one_starts_when_that_has_ended(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    cluster.stubborn_s = 5
    await cluster.boot("n1")
    first = cluster.add_pod("web", image="stubborn")
    await trio.sleep(1)
    cluster.api.remove(POD, "web", "default")
    second = cluster.api.put(POD, pod("web", nodeName="n1"))
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    await trio.sleep(20)
    running = cluster.process("n1", "default_web_c")
    assert running.labels["io.kubernetes.pod.uid"] == second["metadata"]["uid"]
    assert cluster.pod("web")["status"]["phase"] == "Running"


async def test_refused_reports_are_repeated_without_haste(autojump_clock: MockClock, cluster: Cluster) -> None:
    async def refuse(request: Request) -> None:
        if request.method == "PATCH" and "/pods/" in request.path:
            raise errors.service_unavailable("no leader")

    cluster.api.fault = refuse
    await cluster.boot("n1")
    cluster.add_pod("web")
    await trio.sleep(100)
    patches = [path for method, path in cluster.api.requests if method == "PATCH" and "/pods/" in path]
    assert 40 <= len(patches) <= 70
    cluster.api.fault = None
    await trio.sleep(3)
    assert cluster.pod("web")["status"]["phase"] == "Running"
    settled = len(cluster.api.requests)
    await trio.sleep(5)
    assert len(cluster.api.requests) - settled <= 4, "what is shown is not reported again"
