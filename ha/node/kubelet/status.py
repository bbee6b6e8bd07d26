"""From what runs to what is reported: the status of a Pod. Pure.

Rules: k8s.io/kubernetes/pkg/kubelet, ``getPhase``, ``convertStatusToAPIStatus``, ``GeneratePodReadyCondition``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ha.kube.conditions import with_condition
from ha.kube.kinds import Object
from ha.kube.meta import timestamp
from ha.node.kubelet.pods import containers
from ha.node.runtime import Container

__all__ = ["ContainerView", "pod_status", "restart_count"]

_OWNED = ("Initialized", "Ready", "ContainersReady", "PodScheduled")


@dataclass(frozen=True, slots=True)
class ContainerView:
    """What the kubelet knows of one container of a pod.

    `current` is the latest attempt, `previous` the one before. A container that does not run waits for
    `waiting` (reason, message), unless it ended for good.
    """

    current: Container | None = None
    previous: Container | None = None
    waiting: tuple[str, str] | None = None
    ready: bool = False
    started: bool = False


def pod_status(
    pod: Object,
    views: Mapping[str, ContainerView],
    before: Object,
    *,
    host_ip: str,
    pod_ip: str,
    wall_s: float,
    stopping: bool = False,
) -> Object:
    """The status to report, with the conditions that are the kubelet's. `before` is the one reported last.

    A pod keeps the address that was reported while it has none by now (`pod_ip` empty).
    """
    pod_ip = pod_ip or before.get("podIP") or ""
    now = timestamp(wall_s)
    listed = containers(pod)
    phase = before.get("phase")
    if phase not in ("Succeeded", "Failed"):
        phase = _phase(pod, [views.get(c["name"], ContainerView()) for c in listed], stopping=stopping)
    unready = [c["name"] for c in listed if not views.get(c["name"], ContainerView()).ready]
    conditions = [c for c in before.get("conditions") or [] if c.get("type") in _OWNED]
    for condition in _conditions(phase, unready):
        conditions = with_condition(conditions, condition, now)
    return {
        "phase": phase,
        "conditions": conditions,
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        **({"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]} if pod_ip else {}),
        "startTime": before.get("startTime") or now,
        "containerStatuses": [
            _container_status(c, views.get(c["name"], ContainerView()), before, stopping=stopping) for c in listed
        ],
        "qosClass": before.get("qosClass") or "BestEffort",
    }


def restart_count(status: Object, container: str) -> int | None:
    """How often a container was restarted by what was reported of it; None when it never ran."""
    reported = _reported(status, container)
    return int(reported.get("restartCount") or 0) if reported is not None else None


def _reported(status: Object, container: str) -> Object | None:
    """What was reported of a container that has run."""
    statuses: list[Object] = status.get("containerStatuses") or []
    return next((s for s in statuses if s.get("name") == container and s.get("containerID")), None)


def _phase(pod: Object, views: list[ContainerView], *, stopping: bool) -> str:
    policy = pod["spec"].get("restartPolicy") or "Always"
    ended = [v.current for v in views if v.current is not None and v.current.state == "exited"]
    if any(v.current is not None and v.current.state == "running" for v in views):
        return "Pending" if any(_never_ran(v) for v in views) else "Running"
    if any(_never_ran(v) for v in views) and not stopping:
        return "Pending"
    failed = any(c.exit_code != 0 for c in ended) or len(ended) < len(views)
    if stopping or policy == "Never" or (policy == "OnFailure" and not failed):
        return "Failed" if failed else "Succeeded"
    return "Running"


def _never_ran(view: ContainerView) -> bool:
    return view.current is None and view.previous is None


def _conditions(phase: str, unready: list[str]) -> list[Object]:
    if phase in ("Succeeded", "Failed"):
        why: Object = {"reason": "PodCompleted" if phase == "Succeeded" else "PodFailed"}
    elif unready:
        why = {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{' '.join(unready)}]",
        }
    else:
        why = {}
    ready: Object = {"status": "False", **why} if why else {"status": "True"}
    return [
        {"type": "Initialized", "status": "True"},
        {"type": "Ready", **ready},
        {"type": "ContainersReady", **ready},
        {"type": "PodScheduled", "status": "True"},
    ]


def _container_status(container: Object, view: ContainerView, before: Object, *, stopping: bool) -> Object:
    current = view.current
    reported = _reported(before, container["name"])
    if stopping and current is None and reported is not None:
        return _lost(reported)
    status: Object = {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": container.get("image", ""),
        "ready": view.ready,
        "started": view.started,
        "restartCount": 0,
        "state": {},
    }
    waiting = view.waiting
    if current is not None:
        status["restartCount"] = current.attempt
        status["containerID"] = f"ha://{current.id}"
    if current is not None and current.state == "running":
        status["state"] = {"running": {"startedAt": timestamp(current.started_at)}}
    elif waiting is not None or current is None:
        reason, message = waiting if waiting is not None else ("ContainerCreating", "")
        status["state"] = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        if current is not None:
            status["lastState"] = {"terminated": _terminated(current)}
    else:
        status["state"] = {"terminated": _terminated(current)}
    if "lastState" not in status and view.previous is not None:
        status["lastState"] = {"terminated": _terminated(view.previous)}
    return status


def _lost(reported: Object) -> Object:
    """A container that is gone and whose end nobody saw."""
    if "terminated" in (reported.get("state") or {}):
        return reported
    message = "The container could not be located when the pod was terminated"
    ended = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": message}
    return {**reported, "ready": False, "started": False, "state": {"terminated": ended}}


def _terminated(container: Container) -> Object:
    terminated: Object = {
        "exitCode": container.exit_code,
        "reason": "Completed" if container.exit_code == 0 else "Error",
        "startedAt": timestamp(container.started_at),
        "finishedAt": timestamp(container.finished_at),
        "containerID": f"ha://{container.id}",
    }
    if container.signal:
        terminated["signal"] = container.signal
    return terminated
