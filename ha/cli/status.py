"""What ``ha status`` asks of a cluster and how it shows the answers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import trio
from rich.table import Table
from rich.text import Text

from ha.cli import console
from ha.cluster.ports import KUBE_PROXY
from ha.cluster.view import MemberStatus, leader_of, member_status
from ha.etcd.member import REFUSED, SERVING
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
    proxy: str | None = None
    """kube-proxy: ok, stale (changes wait to be forwarded by) or unreachable."""
    refused: str | None = None
    """Why the node's etcd member refuses to start, by the last line of its log that says so."""


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
    answers = _Answers(state)
    await answers.gather()
    leader = leader_of(answers.members)
    nodes = [
        NodeReport(
            name=record.name,
            role=record.role,
            address=record.address,
            ready=_ready(record, answers.conditions, balances=answers.balances),
            api_server=answers.api_server(record.name),
            etcd=answers.etcd(record.name, leader),
            proxy=answers.proxies.get(record.name),
            refused=None if answers.members.get(record.name) else _refusal(state, record.name),
        )
        for record in state.nodes
    ]
    healthy = (
        leader is not None
        and all(answers.ready.values())
        and all(node.ready in (None, "True") and node.proxy in (None, "ok") for node in nodes)
        and all(answer is not None and not answer.is_learner for answer in answers.members.values())
    )
    return ClusterReport(
        name=state.name,
        topology=state.topology,
        etcd=state.etcd,
        endpoint=state.endpoint,
        endpoint_ready=answers.ready.get(""),
        etcd_leader=leader,
        term=max((answer.term for answer in answers.members.values() if answer), default=None),
        kubeconfig=state.kubeconfig,
        healthy=healthy,
        nodes=nodes,
    )


class _Answers:
    """What the parts of a cluster say, all asked at once by `gather`."""

    def __init__(self, state: ClusterState) -> None:
        self.members: dict[str, MemberStatus | None] = {}
        self.ready: dict[str, bool] = {}
        """API servers by node, and the endpoint under the name ""."""
        self.proxies: dict[str, str] = {}
        self.conditions: dict[str, str] | None = None
        self.balances = False
        self._state = state
        self._net = LoopbackNetwork("127.0.0.1")

    async def gather(self) -> None:
        """Ask."""
        state = self._state
        async with trio.open_nursery() as nursery:
            for node, address in state.members.items():
                nursery.start_soon(self._ask_member, node, address)
            for node, address in state.api_servers.items():
                nursery.start_soon(self._ask_api_server, node, address)
            for record in state.nodes:
                if "kube-proxy" in record.components:
                    nursery.start_soon(self._ask_proxy, record)
            if state.endpoint is not None:
                nursery.start_soon(self._ask_api_server, "", state.endpoint)
                nursery.start_soon(self._ask_conditions, state.endpoint)
            if state.balancer_stats is not None:
                nursery.start_soon(self._ask_balancer, state.balancer_stats)

    def api_server(self, node: str) -> str | None:
        """How the API server of a node is."""
        return ("ready" if self.ready[node] else "not ready") if node in self.ready else None

    def etcd(self, node: str, leader: str | None) -> str | None:
        """What the member of a node is."""
        if node not in self.members:
            return None
        member = self.members[node]
        if member is None:
            return "unreachable"
        return "leader" if node == leader else "learner" if member.is_learner else "follower"

    async def _ask_member(self, node: str, address: str) -> None:
        self.members[node] = await member_status(Client(self._net, Address.parse(address)), timeout_s=_TIMEOUT_S)

    async def _ask_api_server(self, node: str, address: str) -> None:
        self.ready[node] = await _status(self._net, Address.parse(address), "/readyz") == 200

    async def _ask_proxy(self, record: NodeRecord) -> None:
        answer = await _status(self._net, Address(record.address, KUBE_PROXY), "/healthz")
        self.proxies[record.name] = "unreachable" if answer is None else "ok" if answer == 200 else "stale"

    async def _ask_conditions(self, endpoint: str) -> None:
        self.conditions = await _conditions(self._net, Address.parse(endpoint))

    async def _ask_balancer(self, address: str) -> None:
        self.balances = await _status(self._net, Address.parse(address), "/readyz") == 200


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
    for column in ("NODE", "ROLE", "ADDRESS", "READY", "API SERVER", "ETCD", "PROXY"):
        table.add_column(column, no_wrap=True)
    for node in report.nodes:
        cells = (node.name, node.role, node.address, node.ready, node.api_server, node.etcd, node.proxy)
        table.add_row(*(cell or "-" for cell in cells))
    console.show(table)
    for node in report.nodes:
        if node.refused is not None:
            print(f"  etcd on {node.name} {node.refused}")


def _refusal(state: ClusterState, node: str) -> str | None:
    log = Path(state.directory) / "logs" / node / "etcd.log"
    said = None
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        if f" {REFUSED} " in line:
            said = line.partition(" ")[2]
        elif f" {SERVING} " in line:
            said = None
    return said


def _ready(record: NodeRecord, conditions: dict[str, str] | None, *, balances: bool) -> str | None:
    if record.role == "load-balancer":
        return "True" if balances else "unreachable"
    if record.role == "etcd":
        return None
    return "unknown" if conditions is None else conditions.get(record.name, "absent")


async def _status(net: Network, address: Address, path: str) -> int | None:
    """The status code of an answer; None when there is none."""
    client = Client(net, address)
    try:
        return (await client.request("GET", path, timeout_s=_TIMEOUT_S)).status
    except HttpError:
        return None
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
