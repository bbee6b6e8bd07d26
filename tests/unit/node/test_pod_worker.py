from __future__ import annotations

from types import SimpleNamespace

import trio

from ha.node.kubelet.pods import containers, sandbox_of
from ha.node.kubelet.worker import PodWorker
from ha.node.runtime import Container
from tests.fakes.world import FakeWorld
from tests.unit.node.cluster import manifest


async def test_probes_of_a_container_that_has_ended_before_they_began_do_nothing(
    autojump_clock: trio.abc.Clock,
) -> None:
    """Found by fuzzing: the kubelet crashed when a container ended in the very moment in which it started."""
    async with FakeWorld() as world:
        pod = manifest("etcd")
        pod["metadata"]["uid"] = "u"
        runtime = SimpleNamespace(pod_sandbox_ip=lambda _uid: "127.0.0.1")
        worker = PodWorker(pod, host=world.host("n1"), runtime=runtime, reporter=None, images={}, backoff_s=(1, 2))
        [container] = containers(pod)
        slot = worker._new_slot("etcd")
        running = Container("c", sandbox_of(pod), "etcd", 0, "etcd", "running")
        async with trio.open_nursery() as nursery:
            await worker._keep(container, slot, running, nursery)
            worker._end_probes(slot)
        assert slot.state is None
