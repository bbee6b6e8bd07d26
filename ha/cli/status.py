"""What ``ha status`` asks of a cluster and how it shows the answers."""

from __future__ import annotations

import msgspec
import trio
from rich.console import Console
from rich.table import Table

from ha.cluster.view import leader_of, member_status
from ha.experiment.keep import ClusterState
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
    """The Ready condition: True, False, Unknown; "absent" when the API server does not know the node."""
    api_server: str | None = None
    etcd: str | None = None


class ClusterReport(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster, as its parts describe it now."""

    name: str
    topology: str
    etcd: str
    endpoint: str
    endpoint_ready: bool
    etcd_leader: str | None
    term: int | None
    kubeconfig: str
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

    conditions: dict[str, str] = {}
    async with trio.open_nursery() as nursery:
        for node, address in state.members.items():
            nursery.start_soon(member, node, address)
        for node, address in {**state.api_servers, "": state.endpoint}.items():
            nursery.start_soon(readiness, node, address)
        nursery.start_soon(_conditions, net, Address.parse(state.endpoint), conditions)
    leader = leader_of(members)
    nodes = []
    for record in state.nodes:
        answer = members.get(record.name)
        nodes.append(
            NodeReport(
                name=record.name,
                role=record.role,
                address=record.address,
                ready=conditions.get(record.name, "absent") if record.role in ("control-plane", "worker") else None,
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
        endpoint_ready=ready[""],
        etcd_leader=leader,
        term=max((answer.term for answer in members.values() if answer), default=None),
        kubeconfig=state.kubeconfig,
        healthy=healthy,
        nodes=nodes,
    )


def show(report: ClusterReport) -> None:
    """Print a report."""
    console = Console()
    health = "[green]healthy[/]" if report.healthy else "[red]degraded[/]"
    leader = report.etcd_leader or "none"
    console.print(f"[bold]{report.name}[/] ({report.topology}, {report.etcd} etcd): {health}", highlight=False)
    console.print(f"  endpoint http://{report.endpoint} · etcd leader {leader}, term {report.term}", highlight=False)
    console.print(f"  KUBECONFIG={report.kubeconfig}", highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("NODE", "ROLE", "ADDRESS", "READY", "API SERVER", "ETCD"):
        table.add_column(column, no_wrap=True)
    for node in report.nodes:
        cells = (node.name, node.role, node.address, node.ready, node.api_server, node.etcd)
        table.add_row(*(cell or "-" for cell in cells))
    console.print(table)


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


async def _conditions(net: Network, endpoint: Address, into: dict[str, str]) -> None:
    """The Ready condition of every Node; nothing when the endpoint does not serve."""
    client = KubeClient(net, endpoint, user_agent="ha-status", timeout_s=_TIMEOUT_S)
    try:
        nodes = (await client.list(NODE)).items
    except (HttpError, ApiError):
        return
    finally:
        await client.aclose()
    for node in nodes:
        for condition in node.get("status", {}).get("conditions", []):
            if condition["type"] == "Ready":
                into[node["metadata"]["name"]] = condition["status"]
