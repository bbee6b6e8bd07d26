"""Every fault of the vocabulary, on a store of five members that are processes: attested, undone, and survived."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest
import trio

from ha.chaos import Injector
from ha.cluster import Cluster, View, node_names, plan
from ha.etcd.client import EtcdClient
from ha.etcd.errors import EtcdError
from ha.experiment.worlds import real
from ha.history import Event, FaultEvent
from ha.spec import Fault, Target
from ha.spec.faults import INSTANT
from ha.world import Address, Host
from ha.world.real import FAULTS
from ha.world.real.host import RealHost
from tests.unit.chaos.vocabulary import SCHEDULES, SHAPE
from tests.unit.world.both import ClosedAfterwards

pytestmark = pytest.mark.e2e

FOR_S = 1.0
BESIDES = {"refuse": [Fault(fault="reset", target=Target(select="etcd-2"), at_s=0.5)]}
"""What a fault needs to have something to do: nobody dials where connections are open."""


def test_nothing_of_the_vocabulary_is_missing() -> None:
    assert set(SCHEDULES) == FAULTS


async def keep_writing(host: Host, members: list[Address]) -> None:
    """So that there is something to hold up, to sync and to refuse."""
    client = EtcdClient(host.net, members, timeout_s=1)
    while True:
        try:
            await client.put(b"key", b"value")
        except EtcdError as error:
            host.log("not written", error=str(error))
        await trio.sleep(0.005)


def shortly(fault: Fault) -> Fault:
    return msgspec.structs.replace(fault, at_s=0.1, for_s=None if fault.fault in INSTANT else FOR_S)


@pytest.mark.timeout(120)
async def test_every_fault_takes_effect_is_undone_and_the_store_is_ready_again(tmp_path: Path) -> None:
    wrong: dict[str, list[str | None]] = {}
    opened: list[trio.abc.AsyncResource] = []
    async with real(nodes=list(node_names(SHAPE)), directory=tmp_path, seed=1) as world:
        layout = plan(SHAPE, {node: world.address(node) for node in node_names(SHAPE)}, cluster_token="t")
        cluster = Cluster(world, layout)
        events: list[FaultEvent] = []

        def emit(event: Event) -> None:
            assert isinstance(event, FaultEvent)
            events.append(event)

        async with world.client("test") as bare, trio.open_nursery() as nursery:
            assert isinstance(bare, RealHost)
            host = replace(bare, net=ClosedAfterwards(bare.address, None, opened))
            await nursery.start(cluster.supervise)
            await cluster.boot_all()
            await cluster.wait_ready(host, timeout_s=30)
            nursery.start_soon(keep_writing, host, [Address(world.address(node), 2379) for node in layout.members])
            injector = Injector(cluster, View(host, layout), Random(1), emit=emit, now_s=trio.current_time)
            for name in sorted(FAULTS):
                events.clear()
                await injector.run([shortly(SCHEDULES[name]), *BESIDES.get(name, [])], load_s=FOR_S + 0.3)
                await cluster.wait_ready(host, timeout_s=30)
                told = sorted(event.action for event in events if event.fault == name)
                if told != (["inject"] if name in INSTANT else ["inject", "undo"]):
                    wrong[name] = told
                elif not all(event.attested and event.evidence for event in events):
                    wrong[name] = [event.error for event in events]
            nursery.cancel_scope.cancel()
        for resource in opened:
            await trio.aclose_forcefully(resource)
    assert wrong == {}
