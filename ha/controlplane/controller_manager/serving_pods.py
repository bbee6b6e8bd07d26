"""Which addresses and ports a Service stands for: the part that Endpoints and EndpointSlices share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ha.controlplane.controller_manager.pods import is_ready
from ha.kube.kinds import Object
from ha.kube.meta import deleting, labels_of, object_key

__all__ = ["Backend", "backends_of", "selected_by", "services_selecting"]


@dataclass(frozen=True, slots=True)
class Backend:
    """A pod behind a Service, and the ports that it serves: (name, protocol, number).

    `serving`: its Ready condition. `ready`: it serves and is not terminating, or the Service publishes it anyhow.
    """

    pod: Object
    ready: bool
    serving: bool
    terminating: bool
    ports: tuple[tuple[str, str, int], ...]

    @property
    def address(self) -> str:
        """Its IP address."""
        return str(self.pod["status"]["podIP"])

    @property
    def target(self) -> Object:
        """The reference to the pod."""
        meta = self.pod["metadata"]
        return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}


def selected_by(service: Object, pod: Object) -> bool:
    """Whether a Service with a selector selects a pod."""
    selector: dict[str, str] = service["spec"].get("selector") or {}
    same = service["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return bool(selector) and same and selector.items() <= labels_of(pod).items()


def services_selecting(pods: Sequence[Object], services: Iterable[Object]) -> list[tuple[str, str]]:
    """Keys of the Services that select any of the pods (a pod before and after a change)."""
    return [object_key(service) for service in services if any(selected_by(service, pod) for pod in pods)]


def backends_of(service: Object, pods: Iterable[Object]) -> list[Backend]:
    """The pods behind a Service that have an address and have not ended, sorted by name."""
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    found = []
    for pod in sorted(pods, key=object_key):
        status = pod.get("status") or {}
        if selected_by(service, pod) and status.get("podIP") and status.get("phase") not in ("Succeeded", "Failed"):
            serving, leaving = is_ready(pod), deleting(pod)
            ready = unready_too or (serving and not leaving)
            found.append(Backend(pod, ready, serving, leaving, _ports(service, pod)))
    return found


def _ports(service: Object, pod: Object) -> tuple[tuple[str, str, int], ...]:
    ports = []
    for port in service["spec"].get("ports") or []:
        protocol = port.get("protocol") or "TCP"
        target = port.get("targetPort", port["port"])
        number = target if isinstance(target, int) else _named(pod, target, protocol)
        if number is not None:
            ports.append((port.get("name") or "", protocol, number))
    return tuple(ports)


def _named(pod: Object, name: object, protocol: str) -> int | None:
    for container in pod["spec"].get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == name and (port.get("protocol") or "TCP") == protocol:
                return int(port["containerPort"])
    return None
