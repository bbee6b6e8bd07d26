"""Who leads, by what the members say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ha import http
from ha.cluster.view import MemberStatus, exact_status, leader_of, lease_holder, member_status
from ha.world import Address
from tests.unit.etcd.support import Sockets, free_ports, real_etcd


def said(member: str, leader: str, term: int) -> MemberStatus:
    return MemberStatus(member_id=member, leader_id=leader, term=term, revision=1)


def test_the_leader_is_whom_the_members_of_the_newest_term_name() -> None:
    assert leader_of({"a": said("1", "1", 3), "b": said("2", "1", 3), "c": None}) == "a"


def test_a_deposed_leader_does_not_count() -> None:
    """Paused and resumed, it still names itself in its old term."""
    assert leader_of({"a": said("1", "1", 3), "b": said("2", "3", 4), "c": said("3", "3", 4)}) == "c"


@pytest.mark.parametrize("leader", ["0", ""])
def test_during_an_election_there_is_none(leader: str) -> None:
    assert leader_of({"a": said("1", leader, 4), "b": said("2", leader, 4)}) is None


def test_a_leader_that_does_not_answer_itself_is_not_named() -> None:
    assert leader_of({"a": None, "b": said("2", "1", 3)}) is None
    assert leader_of({"a": None}) is None


def test_the_holder_of_a_lease_is_the_node_in_its_identity() -> None:
    assert lease_holder("control-plane-1_0a1b", ["control-plane-1"]) == "control-plane-1"
    assert lease_holder("", ["control-plane-1"]) is None


async def test_the_real_etcd_tells_leader_and_term_of_one_moment(tmp_path: Path) -> None:
    async with real_etcd(tmp_path) as address:
        client = http.Client(Sockets(), address)
        told = await member_status(client, timeout_s=5)
        assert told is not None
        lagging = msgspec.structs.replace(told, term=told.term - 1, leader_id="0")
        assert await exact_status(client, lagging, timeout_s=5) == told
        await client.aclose()


async def test_a_member_that_does_not_answer_tells_nothing() -> None:
    (port,) = free_ports(1)
    client = http.Client(Sockets(), Address("127.0.0.1", port))
    assert await exact_status(client, said("1", "1", 3), timeout_s=1) is None
