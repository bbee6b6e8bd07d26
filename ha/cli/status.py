"""What ``ha status`` asks of a cluster and how it shows the answers."""

from __future__ import annotations

import msgspec
import trio
from rich.table import Table
from rich.text import Text

from ha.cli import console
from ha.cluster.view import leader_of, member_status
from ha.experiment.keep import ClusterState
from ha.history.result import NodeRecord
from ha.http import Client, HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import NODE
from ha.world import Address, Network
from ha.world.real.net import LoopbackNetwork

__all__ = ["ClusterReport", "NodeReport", "ask", "show"]

_TIMEOUT_S = 1.0


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One node. A field that does not apply to its role is None."""

    name: str
    role: str
    address: str
    ready: str | None = None
    """The Ready condition: True, False, Unknown; "absent" when the API server does not know the node, "unknown" when
    it could not be asked. Of the load balancer: True or "unreachable"."""
    api_server: str | None = None
    etcd: str | None = None


class ClusterReport(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster, as its parts describe it now. Without a control plane there is no endpoint and no kubeconfig."""

    name: str
    topology: str
    etcd: str
    endpoint: str | None
    endpoint_ready: bool | None
    etcd_leader: str | None
    term: int | None
    kubeconfig: str | None
    healthy: bool
    nodes: list[NodeReport]


async def ask(state: ClusterState) -> ClusterReport:
    """Ask every part, each bounded by a second."""
    net = LoopbackNetwork("127.0.0.1")
    members = {}
    ready: dict[str, bool] = {}

    async def member(node: str, address: str) -> None:
        members[node] = await member_status(Client(net, Address.parse(address)), timeout_s=_TIMEOUT_S)

    async def readiness(node: str, address: str) -> None:
        ready[node] = await _is_ready(net, Address.parse(address))

    conditions: dict[str, str] | None = None
    balances = False

    async def conditions_of_nodes(endpoint: str) -> None:
        nonlocal conditions
        conditions = await _conditions(net, Address.parse(endpoint))

    async def balancing(address: str) -> None:
        nonlocal balances
        balances = await _is_ready(net, Address.parse(address))

    async with trio.open_nursery() as nursery:
        for node, address in state.members.items():
            nursery.start_soon(member, node, address)
        for node, address in state.api_servers.items():
            nursery.start_soon(readiness, node, address)
        if state.endpoint is not None:
            nursery.start_soon(readiness, "", state.endpoint)
            nursery.start_soon(conditions_of_nodes, state.endpoint)
        if state.balancer_stats is not None:
            nursery.start_soon(balancing, state.balancer_stats)
    leader = leader_of(members)
    nodes = []
    for record in state.nodes:
        answer = members.get(record.name)
        nodes.append(
            NodeReport(
                name=record.name,
                role=record.role,
                address=record.address,
                ready=_ready(record, conditions, balances=balances),
                api_server=("ready" if ready[record.name] else "not ready") if record.name in ready else None,
                etcd=_etcd(record.name, leader, reachable=answer is not None) if record.name in members else None,
            )
        )
    healthy = (
        leader is not None
        and all(ready.values())
        and all(node.ready in (None, "True") for node in nodes)
        and all(answer is not None for answer in members.values())
    )
    return ClusterReport(
        name=state.name,
        topology=state.topology,
        etcd=state.etcd,
        endpoint=state.endpoint,
        endpoint_ready=ready.get(""),
        etcd_leader=leader,
        term=max((answer.term for answer in members.values() if answer), default=None),
        kubeconfig=state.kubeconfig,
        healthy=healthy,
        nodes=nodes,
    )


def show(report: ClusterReport) -> None:
    """Print a report."""
    health, style = ("healthy", "green") if report.healthy else ("degraded", "red")
    head = Text.assemble((report.name, "bold"), f" ({report.topology}, {report.etcd} etcd): ", (health, style))
    console.show(head)
    leader = f"{report.etcd_leader or 'none'}, term {'unknown' if report.term is None else report.term}"
    if report.endpoint is None:
        print(f"  etcd leader {leader}")
    else:
        answers = "" if report.endpoint_ready else " does not answer"
        print(f"  endpoint http://{report.endpoint}{answers} · etcd leader {leader}")
        print(f"  KUBECONFIG={report.kubeconfig}")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("NODE", "ROLE", "ADDRESS", "READY", "API SERVER", "ETCD"):
        table.add_column(column, no_wrap=True)
    for node in report.nodes:
        cells = (node.name, node.role, node.address, node.ready, node.api_server, node.etcd)
        table.add_row(*(cell or "-" for cell in cells))
    console.show(table)


def _ready(record: NodeRecord, conditions: dict[str, str] | None, *, balances: bool) -> str | None:
    if record.role == "load-balancer":
        return "True" if balances else "unreachable"
    if record.role == "etcd":
        return None
    return "unknown" if conditions is None else conditions.get(record.name, "absent")


def _etcd(node: str, leader: str | None, *, reachable: bool) -> str:
    if not reachable:
        return "unreachable"
    return "leader" if node == leader else "follower"


async def _is_ready(net: Network, address: Address) -> bool:
    client = Client(net, address)
    try:
        return (await client.request("GET", "/readyz", timeout_s=_TIMEOUT_S)).status == 200
    except HttpError:
        return False
    finally:
        await client.aclose()


async def _conditions(net: Network, endpoint: Address) -> dict[str, str] | None:
    """The Ready condition of every Node; None when the endpoint does not answer."""
    client = KubeClient(net, endpoint, user_agent="ha-status", timeout_s=_TIMEOUT_S)
    try:
        nodes = (await client.list(NODE)).items
    except (HttpError, ApiError):
        return None
    finally:
        await client.aclose()
    return {
        node["metadata"]["name"]: condition["status"]
        for node in nodes
        for condition in node.get("status", {}).get("conditions", [])
        if condition["type"] == "Ready"
    }
