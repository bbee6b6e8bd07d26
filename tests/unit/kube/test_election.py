"""Leader election: client-go's semantics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from ha.kube.client import FencedError, KubeClient
from ha.kube.election import LeaderElector, LostLeaseError
from ha.kube.kinds import CONFIG_MAP, LEASE
from ha.world import Address
from tests.fakes.world import FakeWorld
from tests.unit.kube.fake_api import PORT, FakeApi


class Candidate:
    """One process that wants to lead, on a node of its own. It dies of losing its lease, as a component does."""

    def __init__(self, world: FakeWorld, node: str) -> None:
        host = world.host(node)
        server = Address(world.address("api"), PORT)
        client = KubeClient(host.net, server, user_agent=node, timeout_s=5.0)
        self.elector = LeaderElector(client, "kube-scheduler", node, host=host)
        self.life = trio.CancelScope()
        self.led_from: float | None = None
        self.led_until: float | None = None
        self.lost = False

    async def run(self) -> None:
        with self.life:
            try:
                await self.elector.run(self._lead)
            except LostLeaseError:
                self.lost = True

    async def _lead(self) -> None:
        self.led_from = trio.current_time()
        try:
            await trio.sleep_forever()
        finally:
            self.led_until = trio.current_time()


Start = Callable[[str], Awaitable[Candidate]]


@pytest.fixture
def start(world: FakeWorld, api: FakeApi, nursery: trio.Nursery) -> Start:
    async def start(node: str) -> Candidate:
        candidate = Candidate(world, node)
        nursery.start_soon(candidate.run)
        await trio.sleep(1)
        return candidate

    return start


async def test_first_candidate_takes_the_lease_and_renews_it(
    autojump_clock: MockClock, start: Start, api: FakeApi
) -> None:
    a = await start("a")
    first = api.get(LEASE, "kube-scheduler", "kube-system")["spec"]
    assert (first["holderIdentity"], first["leaseDurationSeconds"], first["leaseTransitions"]) == ("a", 15, 0)
    await trio.sleep(60)
    later = api.get(LEASE, "kube-scheduler", "kube-system")["spec"]
    assert later["acquireTime"] == first["acquireTime"]
    assert later["renewTime"] > first["renewTime"]
    assert a.elector.leading


async def test_another_takes_over_after_the_lease_duration_when_the_leader_dies(
    autojump_clock: MockClock, start: Start, api: FakeApi
) -> None:
    a, b = await start("a"), await start("b")
    await trio.sleep(30)
    assert b.led_from is None
    a.life.cancel()
    died = trio.current_time()
    await trio.sleep(25)
    assert b.led_from is not None
    assert 12.0 <= b.led_from - died <= 20.0
    spec = api.get(LEASE, "kube-scheduler", "kube-system")["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("b", 1)


async def test_partitioned_leader_stops_before_another_starts(
    autojump_clock: MockClock, start: Start, world: FakeWorld
) -> None:
    a, b = await start("a"), await start("b")
    await trio.sleep(10)
    world.partition(["a"], ["api"])
    cut = trio.current_time()
    await trio.sleep(30)
    assert a.lost
    assert a.led_until is not None
    assert b.led_from is not None
    assert a.led_until - cut <= 10.1, "the renew deadline counts from the last renewal or later attempts"
    assert a.led_until < b.led_from


async def test_wall_clocks_that_differ_do_no_harm(autojump_clock: MockClock, start: Start, world: FakeWorld) -> None:
    world.skew("b", 100_000)
    a, b = await start("a"), await start("b")
    await trio.sleep(100)
    assert b.led_from is None
    assert a.elector.leading


async def test_short_outage_does_not_cost_the_lease(
    autojump_clock: MockClock, start: Start, world: FakeWorld, api: FakeApi
) -> None:
    a = await start("a")
    await trio.sleep(5)
    await world.kill("api")
    await trio.sleep(6)
    await world.start("api", api.serve)
    await trio.sleep(20)
    assert a.elector.leading
    assert a.led_until is None


async def test_fractions_of_a_second_are_rounded_up_in_the_lease(
    autojump_clock: MockClock, world: FakeWorld, client: KubeClient, api: FakeApi, nursery: trio.Nursery
) -> None:
    host = world.host("c")
    elector = LeaderElector(
        client, "x", "me", host=host, lease_duration_s=1.5, renew_deadline_s=1.0, retry_period_s=0.2
    )
    nursery.start_soon(elector.run, trio.sleep_forever)
    await trio.sleep(1)
    assert api.get(LEASE, "x", "kube-system")["spec"]["leaseDurationSeconds"] == 2


async def test_lease_that_could_not_be_held_is_refused(
    autojump_clock: MockClock, world: FakeWorld, client: KubeClient
) -> None:
    with pytest.raises(ValueError, match="must hold"):
        LeaderElector(client, "x", "me", host=world.host("c"), lease_duration_s=5, renew_deadline_s=10)


async def test_a_leader_that_was_paused_past_its_lease_writes_nothing(
    autojump_clock: MockClock, start: Start, world: FakeWorld, api: FakeApi
) -> None:
    """When it wakes, its workers run as soon as its renewal does. client-go has no such fence: seen here as a resumed
    controller-manager that declared every Node dead, by what it had heard before the pause.
    """
    a = await start("a")
    server = Address(world.address("api"), PORT)
    client = KubeClient(world.host("a").net, server, user_agent="a", timeout_s=2.0, may_write=a.elector.certain)
    body = {"metadata": {"name": "before"}}
    await client.create(CONFIG_MAP, body, "default")
    autojump_clock.jump(13.1)
    with pytest.raises(FencedError):
        await client.create(CONFIG_MAP, {"metadata": {"name": "after"}}, "default")
    assert (await client.get(CONFIG_MAP, "before", "default"))["metadata"]["name"] == "before"
    await client.aclose()
