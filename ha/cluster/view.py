"""Questions to a running cluster, answered by its own components at the moment of asking."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import trio

from ha.cluster.plan import Plan
from ha.etcd.client import EtcdClient, EtcdError, HashResult
from ha.http import Client, HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import LEASE
from ha.world import Address, Host

__all__ = [
    "LEADER_ELECTIONS",
    "MemberStatus",
    "NoLeaderSeenError",
    "View",
    "exact_status",
    "leader_of",
    "lease_holder",
    "member_status",
]

LEADER_ELECTIONS = ("kube-scheduler", "kube-controller-manager", "cloud-controller-manager")
"""Components of which one at a time is active, by the name of their Lease in kube-system."""


class NoLeaderSeenError(Exception):
    """Nobody claimed to lead within the time allowed."""


class MemberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What an etcd member says of itself. Ids are etcd's decimal strings; `leader_id` "0" or "": none known."""

    member_id: str
    leader_id: str
    term: int
    revision: int
    is_learner: bool = False


class _Header(msgspec.Struct):
    member_id: str = "0"
    revision: str = "0"


class _StatusAnswer(msgspec.Struct):
    header: _Header
    leader: str = "0"
    raftTerm: str = "0"  # noqa: N815  (etcd's own field name)
    isLearner: bool = False  # noqa: N815


async def member_status(client: Client, *, timeout_s: float) -> MemberStatus | None:
    """Ask one member. None when it does not answer properly in time."""
    try:
        answer = await client.request("POST", "/v3/maintenance/status", body=b"{}", timeout_s=timeout_s)
    except HttpError:
        return None
    if answer.status != 200:
        return None
    status = msgspec.json.decode(answer.body, type=_StatusAnswer)
    return MemberStatus(
        member_id=status.header.member_id,
        leader_id=status.leader,
        term=int(status.raftTerm),
        revision=int(status.header.revision),
        is_learner=status.isLearner,
    )


async def member_digests(client: Client, *, timeout_s: float) -> dict[int, int]:
    """By index, digests of all that a member of ours has applied. Empty when it does not answer or shows none."""
    try:
        answer = await client.request("GET", "/debug/digests", timeout_s=timeout_s)
    except HttpError:
        return {}
    return dict(msgspec.json.decode(answer.body, type=list[tuple[int, int]])) if answer.status == 200 else {}


class _RaftStatus(msgspec.Struct):
    term: int
    lead: str


class _Variables(msgspec.Struct):
    raft: _RaftStatus | None = msgspec.field(name="raft.status", default=None)


async def exact_status(client: Client, status: MemberStatus, *, timeout_s: float) -> MemberStatus | None:
    """What a member of the real etcd says of itself, with leader and term of one moment. None when it does not answer.

    In its status the leader is the one of now, but the term is that of the last entry applied (etcd 3.4 to 3.6,
    ``EtcdServer.Term``): who has just been elected, or was started again, names itself leader of a term in which
    another led. Its Raft's own status stands among the variables that it exports.
    """
    try:
        answer = await client.request("GET", "/debug/vars", timeout_s=timeout_s)
    except HttpError:
        return None
    raft = msgspec.json.decode(answer.body, type=_Variables).raft if answer.status == 200 else None
    if raft is None:
        return None
    return msgspec.structs.replace(status, term=raft.term, leader_id=str(int(raft.lead, 16)))


def leader_of(statuses: Mapping[str, MemberStatus | None]) -> str | None:
    """The node of the leader that the members in the highest term name, if it answered itself."""
    answered = {node: status for node, status in statuses.items() if status is not None}
    if not answered:
        return None
    newest = max(status.term for status in answered.values())
    named = {status.leader_id for status in answered.values() if status.term == newest} - {"", "0"}
    return next((node for node, status in answered.items() if status.member_id in named), None)


def lease_holder(identity: str, nodes: list[str]) -> str | None:
    """The node in a leader-election identity, which is ``<node>_<unique>``."""
    node = identity.partition("_")[0]
    return node if node in nodes else None


class View:
    """Asks the members and the API servers of one cluster, from a client's host."""

    def __init__(self, host: Host, plan: Plan, *, timeout_s: float = 1.0) -> None:
        self._host = host
        self._plan = plan
        self._timeout_s = timeout_s
        self._members = {node: Client(host.net, address) for node, address in plan.members.items()}
        self._store = EtcdClient(host.net, list(plan.members.values()), timeout_s=timeout_s)

    async def statuses(self) -> dict[str, MemberStatus | None]:
        """Status of every member by node, all asked at once."""
        found: dict[str, MemberStatus | None] = {}

        async def ask(node: str) -> None:
            found[node] = await member_status(self._members[node], timeout_s=self._timeout_s)

        async with trio.open_nursery() as nursery:
            for node in self._members:
                nursery.start_soon(ask, node)
        return {node: found[node] for node in self._members}

    async def digests(self) -> dict[str, dict[int, int]]:
        """By node, digests of what its member has applied, all asked at once."""
        found: dict[str, dict[int, int]] = {}

        async def ask(node: str) -> None:
            found[node] = await member_digests(self._members[node], timeout_s=self._timeout_s)

        async with trio.open_nursery() as nursery:
            for node in self._members:
                nursery.start_soon(ask, node)
        return {node: found[node] for node in self._members}

    async def hashes(self, revision: int) -> dict[str, HashResult | EtcdError]:
        """What every member's keys come to at a revision, all asked at once; or why one cannot tell."""
        found: dict[str, HashResult | EtcdError] = {}

        async def ask(node: str, address: Address) -> None:
            try:
                found[node] = await self._store.hash_kv(address, revision)
            except EtcdError as error:
                found[node] = error

        async with trio.open_nursery() as nursery:
            for node, address in self._plan.members.items():
                nursery.start_soon(ask, node, address)
        return {node: found[node] for node in self._members}

    async def etcd_leader(self, *, within_s: float = 10.0) -> str:
        """The node of the etcd leader. Raises NoLeaderSeenError."""
        with trio.move_on_after(within_s):
            while True:
                leader = leader_of(await self.statuses())
                if leader is not None:
                    return leader
                await trio.sleep(0.02)
        raise NoLeaderSeenError(f"no etcd member was leader within {within_s:g} s")

    async def lease_leader(self, name: str, *, within_s: float = 10.0) -> str:
        """The node that holds a leader-election Lease. Raises NoLeaderSeenError."""
        with trio.move_on_after(within_s):
            while True:
                for address in self._plan.api_servers.values():
                    holder = await self._lease_holder(address, name)
                    if holder is not None:
                        return holder
                await trio.sleep(0.05)
        raise NoLeaderSeenError(f"nobody held the Lease kube-system/{name} within {within_s:g} s")

    async def _lease_holder(self, api_server: Address, name: str) -> str | None:
        client = KubeClient(self._host.net, api_server, user_agent="ha-view", timeout_s=self._timeout_s)
        try:
            lease = await client.get(LEASE, name, "kube-system")
        except (HttpError, ApiError):
            return None
        finally:
            await client.aclose()
        identity = lease.get("spec", {}).get("holderIdentity") or ""
        return lease_holder(identity, self._plan.role("control-plane"))
