"""Leader election over a Lease object, as client-go does it (tools/leaderelection).

Candidates read the Lease, and take it when nobody holds it or when its holder has not renewed it for
`lease_duration_s`. *Not renewed* is judged by this process alone: the record has not changed between two of its own
observations, measured on its monotonic clock. The times written in the Lease are never compared with anything,
so clocks that differ do no harm; clocks whose *rates* differ by more than the ratio of the two durations do.

The holder renews every `retry_period_s`. When it has not managed to for `renew_deadline_s` (shorter than the lease)
it must assume that another leads: `lead` is cancelled and `LostLeaseError` raised; the process is expected to die of
it and to be started again, because nothing that it holds in memory may be acted upon. There is no fencing, as
upstream: a leader that was paused beyond its lease can still send a request or two before it notices. Writers guard
with resourceVersion.

Deviation: a Lease holds whole seconds, so `leaseDurationSeconds` is written rounded up, and each candidate goes by
its own configured duration (as client-go did until 1.27), which may be a fraction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import ceil

import trio

from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import LEASE, Object
from ha.kube.meta import micro_time
from ha.world import Host

__all__ = ["LeaderElector", "LostLeaseError"]

_NAMESPACE = "kube-system"
_JITTER = 1.2


class LostLeaseError(Exception):
    """The Lease was not renewed in time: another may lead now. Definite end of this process's leadership."""


class LeaderElector:
    """One candidate for one Lease in kube-system. Durations are seconds.

    The client's own timeout should be a fraction of `renew_deadline_s` (upstream: half), or one lost answer costs
    the leadership.
    """

    def __init__(
        self,
        client: KubeClient,
        lease_name: str,
        identity: str,
        *,
        host: Host,
        lease_duration_s: float = 15.0,
        renew_deadline_s: float = 10.0,
        retry_period_s: float = 2.0,
    ) -> None:
        if not lease_duration_s > renew_deadline_s > retry_period_s * _JITTER > 0:
            raise ValueError("leader election: lease duration > renew deadline > 1.2 x retry period must hold")
        self.leading = False
        self.holder = ""
        self._client = client
        self._name = lease_name
        self._identity = identity
        self._host = host
        self._lease_duration_s = lease_duration_s
        self._renew_deadline_s = renew_deadline_s
        self._retry_period_s = retry_period_s
        self._observed: Object = {}
        self._observed_at = -float("inf")
        self._renewed_at = -float("inf")

    def certain(self) -> bool:
        """Whether this process leads beyond doubt: the lease that it last asked for lasts another `retry_period_s`.

        Nobody else takes the lease before, unless clocks run at different rates; the margin is for writes on their
        way. A leader that gives up in time never sees this become false. What a leader writes should be fenced
        with this (`KubeClient.may_write`): a process that was paused finds out that it lost the lease only when it
        next looks, and client-go, which has no such fence, lets it act in between.
        """
        return self.leading and trio.current_time() < self._renewed_at + self._lease_duration_s - self._retry_period_s

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, then run `lead` while it is held. Returns when `lead` does.

        Raises LostLeaseError when the lease was lost.
        """
        await self._acquire()
        self._host.log("became leader", lease=self._name, identity=self._identity)
        lost = False
        async with trio.open_nursery() as nursery:

            async def renew() -> None:
                nonlocal lost
                await self._renew_until_lost()
                lost = True
                nursery.cancel_scope.cancel()

            nursery.start_soon(renew)
            await lead()
            nursery.cancel_scope.cancel()
        self.leading = False
        if lost:
            raise LostLeaseError(f"lease {self._name}: not renewed for {self._renew_deadline_s} s")

    async def _acquire(self) -> None:
        while True:
            with trio.move_on_after(self._renew_deadline_s):
                if await self._try():
                    self.leading = True
                    return
            await trio.sleep(self._retry_period_s * self._host.random.uniform(1.0, 1.0 + _JITTER))

    async def _renew_until_lost(self) -> None:
        while True:
            with trio.move_on_after(self._renew_deadline_s) as scope:
                while not await self._try():
                    await trio.sleep(self._retry_period_s)
            if scope.cancelled_caught:
                return
            await trio.sleep(self._retry_period_s)

    async def _try(self) -> bool:
        try:
            return await self._try_acquire_or_renew()
        except (ApiError, HttpError) as error:
            self._host.log("leader election: request failed", lease=self._name, error=str(error))
            return False

    async def _try_acquire_or_renew(self) -> bool:
        asked_at = trio.current_time()
        try:
            lease = await self._client.get(LEASE, self._name, _NAMESPACE)
        except ApiError as error:
            if error.status != 404:
                raise
            self._observe(await self._client.create(LEASE, self._lease({}, {}), _NAMESPACE))
            self._renewed_at = asked_at
            return True
        spec: Object = lease.get("spec") or {}
        if spec != self._observed:
            self._observe(lease)
        held_by = spec.get("holderIdentity") or ""
        valid = trio.current_time() < self._observed_at + self._lease_duration_s
        if held_by and held_by != self._identity and valid:
            return False
        self._observe(await self._client.update(LEASE, self._lease(lease["metadata"], spec)))
        self._renewed_at = asked_at
        return True

    def _observe(self, lease: Object) -> None:
        self._observed = lease.get("spec") or {}
        self._observed_at = trio.current_time()
        self.holder = self._observed.get("holderIdentity") or ""

    def _lease(self, meta: Object, spec: Object) -> Object:
        now = micro_time(self._host.wall_clock())
        renewal = spec.get("holderIdentity") == self._identity
        changes_hands = bool(spec) and not renewal
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": meta or {"name": self._name, "namespace": _NAMESPACE},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": max(1, ceil(self._lease_duration_s)),
                "acquireTime": spec.get("acquireTime", now) if renewal else now,
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + changes_hands,
            },
        }
