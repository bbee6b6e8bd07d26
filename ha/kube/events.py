"""Event objects: what components tell people about other objects.

Best effort by design, as upstream: an Event must never hold up the work that it reports, so they pass through a
bounded queue, are dropped when it is full, and are tried once. The same happening again (same object, reason and
message) counts up one Event instead of adding another.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import trio

from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import EVENT, Kind, Object
from ha.kube.meta import timestamp
from ha.world import Host

__all__ = ["EventRecorder"]

_QUEUE = 256
_REMEMBERED = 1024


class EventRecorder:
    """Events of one component. Nothing is sent unless `run` runs."""

    def __init__(self, client: KubeClient, component: str, *, host: Host) -> None:
        self.dropped = 0
        self._client = client
        self._component = component
        self._host = host
        self._send, self._receive = trio.open_memory_channel[Object](_QUEUE)
        self._known: OrderedDict[tuple[str, str, str], Object] = OrderedDict()

    def record(
        self,
        kind: Kind,
        obj: Object,
        reason: str,
        message: str,
        *,
        type: Literal["Normal", "Warning"] = "Normal",  # noqa: A002  (the API's own word)
    ) -> None:
        """Say something about an object. Never blocks."""
        meta = obj["metadata"]
        now = timestamp(self._host.wall_clock())
        namespace = meta.get("namespace") or "default"
        event: Object = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": f"{meta['name']}.{self._host.random.getrandbits(64):016x}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": kind.api_version,
                "kind": kind.kind,
                "name": meta["name"],
                "namespace": meta.get("namespace", ""),
                "uid": meta.get("uid", ""),
                "resourceVersion": meta.get("resourceVersion", ""),
            },
            "reason": reason,
            "message": message,
            "type": type,
            "source": {"component": self._component, "host": self._host.node},
            "reportingComponent": self._component,
            "reportingInstance": self._host.node,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            self.dropped += 1

    async def run(self) -> None:
        """Send what is recorded, for ever."""
        async for event in self._receive:
            try:
                await self._write(event)
            except (ApiError, HttpError) as error:
                self._host.log("event not recorded", reason=event["reason"], error=str(error))

    async def _write(self, event: Object) -> None:
        key = (event["involvedObject"]["uid"], event["reason"], event["message"])
        known = self._known.pop(key, None)
        if known is not None:
            again = {"count": known["count"] + 1, "lastTimestamp": event["lastTimestamp"]}
            meta = known["metadata"]
            try:
                self._known[key] = await self._client.patch(EVENT, meta["name"], meta["namespace"], again)
            except ApiError as error:
                if error.status != 404:  # it expired: begin a new one
                    raise
            else:
                return
        self._known[key] = await self._client.create(EVENT, event)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
