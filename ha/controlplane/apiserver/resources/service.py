"""Services: each holds a cluster IP, and for some types node ports, that nobody else may hold.

An allocation is a key in the store that is created in the very transaction that creates the Service, on the
condition that it does not exist, and deleted with it. So two API servers cannot hand out one address twice, no
address leaks when a server dies, and there is nothing to repair. (Upstream 1.32 keeps one IPAddress object per
address for the same reason; before, it kept one bitmap of the whole range, which needed a repair loop.)
Candidates are drawn at random, from the upper part of the range as upstream does, so that addresses chosen by
hand in the lower part rarely meet them.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from ha.controlplane.apiserver.resource import Fields, Resource
from ha.controlplane.apiserver.shape import ANY, INT, STRING, STRING_MAP
from ha.controlplane.apiserver.validation import check_ip, check_name
from ha.kube.errors import Cause
from ha.kube.kinds import SERVICE, Object
from ha.world import Random

__all__ = ["services"]

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_AFFINITIES = ("ClientIP", "None")
_POLICIES = ("Cluster", "Local")
_EXTERNAL = ("LoadBalancer", "NodePort")
"""Types that can be reached from outside of the cluster."""
_NODE_PORTS = range(30000, 32768)
_AFFINITY_S, _AFFINITY_MAX_S = 10800, 86400
IP_CLAIMS = "/registry/ranges/serviceips/"
PORT_CLAIMS = "/registry/ranges/servicenodeports/"


def services(cidr: str, random: Random) -> Resource:
    """`cidr`: where cluster IPs come from. `random` draws candidates."""
    network = IPv4Network(cidr)

    def allocate(service: Object) -> None:
        spec = service["spec"]
        if spec["type"] == "ExternalName":
            return
        if not spec.get("clusterIP"):
            spec["clusterIP"] = _draw(network, random)
        spec["clusterIPs"] = [spec["clusterIP"]]
        if spec["type"] in _EXTERNAL:
            for port in spec.get("ports") or []:
                port["nodePort"] = port.get("nodePort") or random.choice(_NODE_PORTS)

    def validate(service: Object) -> list[Cause]:
        return _validate(service, network)

    return Resource(
        kind=SERVICE,
        shape={
            "spec": {
                "type": STRING,
                "clusterIP": STRING,
                "clusterIPs": [STRING],
                "externalName": STRING,
                "selector": STRING_MAP,
                "ports": [{"name": STRING, "protocol": STRING, "port": INT, "targetPort": ANY, "nodePort": INT}],
                "sessionAffinity": STRING,
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": INT}},
                "externalTrafficPolicy": STRING,
                "internalTrafficPolicy": STRING,
                "loadBalancerClass": STRING,
            },
            "status": {"loadBalancer": {"ingress": [{"ip": STRING, "hostname": STRING}]}},
        },
        name_rule="label-1035",
        prepare=_prepare,
        default=_default,
        validate=validate,
        carry=_carry,
        validate_update=_validate_update,
        fields=_fields,
        field_names=frozenset({"spec.clusterIP", "spec.type"}),
        strict_fields=True,
        allocate=allocate,
        claims=_claims,
        taken=_taken,
        create_on_update=True,
        returns_deleted=True,
    )


def _draw(network: IPv4Network, random: Random) -> str:
    """An address of the range, neither its network nor its broadcast address; above the lower band when it can."""
    usable = network.num_addresses - 2
    band = min(max(16, network.num_addresses // 16), 256) if usable > 32 else 0
    return str(network.network_address + 1 + band + random.randrange(usable - band))


def _claims(service: Object) -> list[str]:
    spec = service.get("spec") or {}
    ip = spec.get("clusterIP")
    keys = [IP_CLAIMS + ip] if ip and ip != "None" and spec.get("type") != "ExternalName" else []
    ports = {p["nodePort"] for p in spec.get("ports") or [] if p.get("nodePort")}
    return keys + [f"{PORT_CLAIMS}{port}" for port in sorted(ports)]


def _taken(claim: str) -> Cause:
    value = claim.rpartition("/")[2]
    if claim.startswith(PORT_CLAIMS):
        return Cause.invalid("spec.ports[0].nodePort", int(value), "provided port is already allocated")
    why = f"failed to allocate IP {value}: provided IP is already allocated"
    return Cause.invalid_text("spec.clusterIPs", f'[]string{{"{value}"}}', why)


def _prepare(service: Object) -> None:
    service["status"] = {"loadBalancer": {}}


def _default(service: Object) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["type"] != "ExternalName":
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in _EXTERNAL:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        config.setdefault("timeoutSeconds", _AFFINITY_S)
    else:
        spec.pop("sessionAffinityConfig", None)
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        if "port" in port:
            port.setdefault("targetPort", port["port"])


def _carry(new: Object, old: Object) -> None:
    """Allocated values that an update leaves out stay, unless its type gives them up."""
    spec, before = new["spec"], old["spec"]
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP") and before.get("clusterIP"):
        spec["clusterIP"] = before["clusterIP"]
        spec["clusterIPs"] = before.get("clusterIPs", [before["clusterIP"]])
    known = {(p.get("protocol"), p.get("port")): p.get("nodePort") for p in before.get("ports") or []}
    for port in spec.get("ports") or []:
        held = known.get((port.get("protocol"), port.get("port")))
        if spec["type"] in _EXTERNAL:
            node_port = port.get("nodePort") or held
            if node_port:
                port["nodePort"] = node_port
        elif held and port.get("nodePort") == held:  # a patch of the type leaves it in
            del port["nodePort"]
    for field in ("externalTrafficPolicy", "allocateLoadBalancerNodePorts"):
        if spec["type"] not in _EXTERNAL and spec.get(field) == before.get(field):
            spec.pop(field, None)


def _validate(service: Object, network: IPv4Network) -> list[Cause]:
    spec = service["spec"]
    causes: list[Cause] = []
    ports = spec.get("ports") or []
    if spec["type"] not in _TYPES:
        causes.append(Cause.unsupported("spec.type", spec["type"], _TYPES))
    if spec["type"] == "ExternalName":
        if not spec.get("externalName"):
            causes.append(Cause.required("spec.externalName"))
        return causes
    if not ports and spec.get("clusterIP") != "None":
        causes.append(Cause.required("spec.ports"))
    names: set[str] = set()
    for i, port in enumerate(ports):
        causes += _check_port(port, f"spec.ports[{i}]", names, named=len(ports) > 1)
    if (ip := spec.get("clusterIP")) and ip != "None":
        causes += _check_cluster_ip(ip, network)
    return causes + _check_traffic(spec)


def _check_traffic(spec: Object) -> list[Cause]:
    causes: list[Cause] = []
    if spec["sessionAffinity"] not in _AFFINITIES:
        causes.append(Cause.unsupported("spec.sessionAffinity", spec["sessionAffinity"], _AFFINITIES))
    timeout_s = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if timeout_s is not None and not 0 < timeout_s <= _AFFINITY_MAX_S:
        text = f"must be greater than 0 and less than {_AFFINITY_MAX_S}"
        causes.append(Cause.invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", timeout_s, text))
    external = spec.get("externalTrafficPolicy")
    if external is not None and spec["type"] not in _EXTERNAL:
        text = "may only be set for externally-accessible services"
        causes.append(Cause.invalid("spec.externalTrafficPolicy", external, text))
    policies = {name: spec.get(name) for name in ("externalTrafficPolicy", "internalTrafficPolicy")}
    return causes + [
        Cause.unsupported(f"spec.{name}", policy, _POLICIES)
        for name, policy in policies.items()
        if policy is not None and policy not in _POLICIES
    ]


def _check_port(port: Object, path: str, names: set[str], *, named: bool) -> list[Cause]:
    causes: list[Cause] = []
    name = port.get("name", "")
    if name:
        causes += check_name(f"{path}.name", name, "label")
        if name in names:
            causes.append(Cause.duplicate(f"{path}.name", name))
        names.add(name)
    elif named:
        causes.append(Cause.required(f"{path}.name"))
    number = port.get("port", 0)
    if not 0 < number < 65536:
        causes.append(Cause.invalid(f"{path}.port", number, "must be between 1 and 65535, inclusive"))
    if port["protocol"] not in _PROTOCOLS:
        causes.append(Cause.unsupported(f"{path}.protocol", port["protocol"], _PROTOCOLS))
    node_port = port.get("nodePort")
    if node_port and node_port not in _NODE_PORTS:
        text = "provided port is not in the valid range. The range of valid ports is 30000-32767"
        causes.append(Cause.invalid("spec.ports[0].nodePort", node_port, text))
    return causes


def _check_cluster_ip(ip: str, network: IPv4Network) -> list[Cause]:
    faults = check_ip("spec.clusterIPs[0]", ip)
    if faults:
        return faults
    if ":" in ip or IPv4Address(ip) not in network:
        text = f"failed to allocate IP {ip}: the provided IP ({ip}) is not in the valid range. The range of valid IPs is {network}"  # noqa: E501  (one sentence of upstream's)
        return [Cause.invalid("spec.clusterIPs", [ip], text)]
    return []


def _validate_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new["spec"], old["spec"]
    if before["type"] == "ExternalName" or spec["type"] == "ExternalName":
        return []
    if before.get("clusterIP") and spec.get("clusterIP") != before["clusterIP"]:
        return [Cause.invalid("spec.clusterIPs[0]", [spec.get("clusterIP")], "may not change once set")]
    return []


def _fields(service: Object) -> Fields:
    spec = service.get("spec") or {}
    return {"spec.clusterIP": spec.get("clusterIP", ""), "spec.type": spec.get("type", "")}
