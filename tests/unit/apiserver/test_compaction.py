import trio
from trio.testing import MockClock

from ha.etcd.machine import EtcdMachine
from tests.fakes.world import FakeWorld
from tests.unit.apiserver.api import CONFIGMAPS, api_server, configmap


async def test_one_of_several_servers_compacts_per_interval_and_keeps_an_interval_of_history(
    world: FakeWorld, autojump_clock: MockClock
) -> None:
    machine = EtcdMachine()
    async with (
        api_server(world, machine=machine, node="cp-1", compaction_interval_s=300.0) as one,
        api_server(world, machine=machine, node="cp-2", compaction_interval_s=300.0),
    ):
        current = []
        for turn in range(4):
            made = await one.post(CONFIGMAPS, configmap(f"c-{turn}"))
            current.append(int(made["metadata"]["resourceVersion"]))
            await trio.sleep(300)
        [key] = (await one.etcd.range(b"compact_rev_key")).kvs
        assert 3 <= key.version <= 5, "about once per interval, however many servers there are"
        compacted = machine.store.compact_revision
        assert current[1] <= compacted < current[3], "the last interval can still be read"
        exact = f"{CONFIGMAPS}?resourceVersionMatch=Exact&resourceVersion="
        assert len((await one.get(f"{exact}{current[3]}"))["items"]) == 4
        await one.get(f"{exact}{current[0]}", expect=410)


async def test_a_failed_turn_is_made_up_for(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with api_server(world, compaction_interval_s=100.0) as api:
        await trio.sleep(150)
        api.etcd.unavailable = True
        await trio.sleep(100)
        api.etcd.unavailable = False
        await trio.sleep(200)
        assert api.etcd.machine.store.compact_revision > 0
        assert any("was not compacted" in message for _, _, _, message, _ in world.logs)
