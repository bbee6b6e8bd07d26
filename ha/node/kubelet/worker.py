"""One pod of the node: a loop that makes what runs equal to what is wanted, and reports it.

Upstream calls it a pod worker. It is level-triggered: each round looks at the manifest and at the runtime, acts,
and sleeps until something changes (a new manifest, an exit, a probe, a deletion) or a back-off is over. It needs the
API for nothing: reporting is handed over, and waits there while the API is away.

A pod's life: containers are kept running by its restart policy, until it is asked to go (deleted, or no longer in
the API, or its manifest was replaced). Then they are stopped within their grace, the last status is reported, and
the deletion is confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import trio

from ha.kube.kinds import Object
from ha.kube.workqueue import Key
from ha.node.kubelet.backoff import RestartBackoff
from ha.node.kubelet.pods import containers, grace_period_s, program_of, sandbox_of
from ha.node.kubelet.probes import ProbeState, initial_state, run_probes
from ha.node.kubelet.status import ContainerView, pod_status, restart_count
from ha.node.runtime import Container, ContainerConfig, ContainerRuntime, RuntimeFault
from ha.world import Host

__all__ = ["PodWorker", "Reporter"]

_START_RETRY_S = 1.0
"""How long a container that could not be started waits at least."""


class Reporter(Protocol):
    """Where statuses go. Neither method blocks."""

    def report(self, pod: Object, status: Object) -> None:
        """Make the API show this status, when it can."""
        ...

    def finished(self, pod: Object) -> None:
        """All containers of a deleted pod have ended: confirm the deletion."""
        ...


@dataclass(slots=True)
class _Slot:
    """One container of the pod over all its attempts."""

    backoff: RestartBackoff
    first_attempt: int
    state: ProbeState | None = None
    probing: trio.CancelScope | None = None
    probed: str = ""
    failed_start: str = ""
    retry_s: float = 0.0


class PodWorker:
    """Runs one pod. `backoff_s` is (base, maximum)."""

    def __init__(
        self,
        pod: Object,
        *,
        host: Host,
        runtime: ContainerRuntime,
        reporter: Reporter,
        images: Mapping[str, str],
        backoff_s: tuple[float, float],
    ) -> None:
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.key: Key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.stopping = False
        self.ended = False
        self.started = 0
        self.confirms = False
        self._host = host
        self._runtime = runtime
        self._reporter = reporter
        self._images = images
        self._backoff_s = backoff_s
        self._slots: dict[str, _Slot] = {}
        self._wake = trio.Event()
        self._reported: Object = pod.get("status") or {}

    def update(self, pod: Object) -> None:
        """A new version of the manifest, perhaps with a deletion."""
        self.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self.confirms = True
            self.stopping = True
        self.poke()

    def stop(self) -> None:
        """The pod is no longer wanted here, and nobody waits for a confirmation."""
        self.stopping = True
        self.poke()

    def poke(self) -> None:
        """Something changed: look again."""
        self._wake.set()

    async def run(self) -> None:
        """Until the pod has ended and been cleaned up."""
        await self._runtime.run_pod_sandbox(sandbox_of(self.pod))
        async with trio.open_nursery() as nursery:
            while True:
                self._wake = trio.Event()
                if self.stopping:
                    break
                again_s = await self._round(nursery)
                with trio.move_on_at(again_s):
                    await self._wake.wait()
            nursery.cancel_scope.cancel()
        await self._stop_all()
        if self.confirms:
            self._reporter.report(self.pod, self.status())
            self._reporter.finished(self.pod)
        await self._runtime.remove_pod_sandbox(self.uid)
        self.ended = True

    def status(self) -> Object:
        """The pod's status by now."""
        views = {c["name"]: self._view(c) for c in containers(self.pod)}
        self._reported = pod_status(
            self.pod,
            views,
            self._reported,
            host_ip=self._host.address,
            pod_ip=self._runtime.pod_sandbox_ip(self.uid),
            wall_s=self._host.wall_clock(),
            stopping=self.stopping,
        )
        return self._reported

    async def _round(self, nursery: trio.Nursery) -> float:
        """Act on every container; returns when to look again at the latest."""
        again_s = float("inf")
        if self._reported.get("phase") in ("Succeeded", "Failed"):
            return again_s  # it has run its course, perhaps before this kubelet started
        for container in containers(self.pod):
            slot = self._slots.get(container["name"])
            if slot is None:
                slot = self._slots[container["name"]] = self._new_slot(container["name"])
            current, _ = self._attempts(container["name"])
            if current is not None and current.state == "running":
                await self._keep(container, slot, current, nursery)
            else:
                again_s = min(again_s, await self._revive(container, slot, current, nursery))
        self._reporter.report(self.pod, self.status())
        return again_s

    def _new_slot(self, name: str) -> _Slot:
        reported = restart_count(self._reported, name)
        return _Slot(RestartBackoff(*self._backoff_s), 0 if reported is None else reported + 1)

    async def _keep(self, container: Object, slot: _Slot, current: Container, nursery: trio.Nursery) -> None:
        """A running container: ask its probes; end it when it is not alive."""
        if slot.probed != current.id:
            self._end_probes(slot)
            slot.state, slot.probed, slot.probing = initial_state(container), current.id, trio.CancelScope()
            nursery.start_soon(self._probe, container, slot.state, slot.probing)
        if slot.state is not None and not slot.state.live:
            self._host.log("container failed its liveness probe, will be restarted", container=current.id)
            self._end_probes(slot)
            await self._runtime.stop_container(current.id, grace_period_s(self.pod))
            self.poke()

    async def _revive(self, container: Object, slot: _Slot, current: Container | None, nursery: trio.Nursery) -> float:
        """A container that does not run: start it, or say when to try again, or leave it (infinity)."""
        self._end_probes(slot)
        due_s = slot.retry_s
        if current is not None:
            if not _restarts(self.pod, current.exit_code):
                return float("inf")
            slot.backoff.ended(current.id, current.finished_s - current.started_s)
            due_s = max(due_s, current.finished_s + slot.backoff.delay_s)
        if trio.current_time() < due_s:
            return due_s
        attempt = slot.first_attempt if current is None else current.attempt + 1
        if not await self._start(container, slot, attempt):
            return slot.retry_s
        started, _ = self._attempts(container["name"])
        if started is not None and started.state == "running":
            await self._keep(container, slot, started, nursery)
            return float("inf")
        return trio.current_time()

    async def _start(self, container: Object, slot: _Slot, attempt: int) -> bool:
        process, program, config = program_of(self.pod, container, self._images)
        try:
            container_id = await self._runtime.create_container(
                self.uid, ContainerConfig(container["name"], attempt, process, program, config)
            )
            await self._runtime.start_container(container_id)
        except RuntimeFault as error:
            slot.failed_start = str(error)
            slot.retry_s = trio.current_time() + _START_RETRY_S
            self._host.log("container not started", pod=self.pod["metadata"]["name"], error=str(error))
            return False
        slot.failed_start, slot.retry_s = "", 0.0
        self.started += 1
        for older in self._of(container["name"])[:-2]:
            await self._runtime.remove_container(older.id)
        self._host.log("container started", pod=self.pod["metadata"]["name"], container=container_id)
        return True

    async def _probe(self, container: Object, state: ProbeState, scope: trio.CancelScope) -> None:
        with scope:  # which may have been cancelled before this began: a container may end as it starts
            address = self._runtime.pod_sandbox_ip(self.uid)
            await run_probes(self._host, address, container, state, self.poke)

    def _end_probes(self, slot: _Slot) -> None:
        if slot.probing is not None:
            slot.probing.cancel()
        slot.probing, slot.state, slot.probed = None, None, ""

    async def _stop_all(self) -> None:
        for slot in self._slots.values():
            self._end_probes(slot)
        grace_s = grace_period_s(self.pod)
        async with trio.open_nursery() as nursery:
            for container in self._runtime.list_containers(self.uid):
                if container.state == "running":
                    nursery.start_soon(self._runtime.stop_container, container.id, grace_s)

    def _view(self, container: Object) -> ContainerView:
        name = container["name"]
        current, previous = self._attempts(name)
        slot = self._slots.get(name)
        running = current is not None and current.state == "running"
        state = slot.state if slot is not None else None
        return ContainerView(
            current=current,
            previous=previous,
            waiting=None if running or slot is None else self._waiting(slot, current, name),
            ready=running and state is not None and state.ready,
            started=running and state is not None and state.started,
        )

    def _waiting(self, slot: _Slot, current: Container | None, name: str) -> tuple[str, str] | None:
        if slot.failed_start:
            return "CreateContainerError", slot.failed_start
        if self.stopping or current is None or not _restarts(self.pod, current.exit_code):
            return None
        pod = self.pod["metadata"]["name"]
        return (
            "CrashLoopBackOff",
            f"back-off {slot.backoff.delay_s:g}s restarting failed container={name} pod={pod}",
        )

    def _of(self, name: str) -> list[Container]:
        return [c for c in self._runtime.list_containers(self.uid) if c.name == name]

    def _attempts(self, name: str) -> tuple[Container | None, Container | None]:
        found = self._of(name)
        return (found[-1] if found else None), (found[-2] if len(found) > 1 else None)


def _restarts(pod: Object, exit_code: int) -> bool:
    policy = pod["spec"].get("restartPolicy") or "Always"
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)
