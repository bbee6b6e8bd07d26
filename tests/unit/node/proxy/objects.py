"""Services and EndpointSlices, as short as tests want them."""

from __future__ import annotations

from typing import Any

from ha.kube.kinds import Object


def service(
    name: str = "web", *, port: int = 80, node_port: int = 0, ingress: tuple[str, ...] = (), **spec: Any
) -> Object:
    ports = [{"port": port, "protocol": "TCP", **({"nodePort": node_port} if node_port else {})}]
    body: Object = {
        "metadata": {"namespace": "default", "name": name},
        "spec": {"type": "NodePort", "clusterIP": "10.96.0.9", "ports": ports, **spec},
    }
    if ingress:
        body["status"] = {"loadBalancer": {"ingress": [{"ip": ip} for ip in ingress]}}
    return body


def endpoint(ip: str, node: str = "n1", state: str = "ready") -> Object:
    """`state`: ready, unready, leaving (terminating but serving), lost (terminating, not serving)."""
    conditions = {
        "ready": state == "ready",
        "serving": state in ("ready", "leaving"),
        "terminating": state in ("leaving", "lost"),
    }
    return {"addresses": [ip], "conditions": conditions, "nodeName": node}


def slice_(*endpoints: Object, service: str = "web", name: str = "web-1", port: int = 8080) -> Object:
    return {
        "metadata": {"namespace": "default", "name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "", "port": port, "protocol": "TCP"}],
    }
