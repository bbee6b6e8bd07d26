"""Health: whether the process lives, and whether it can serve reads and writes now.

A background probe asks the store for its revision, over and over; so a health check costs nothing, however
often a load balancer asks. The store counts as serving while some linearizable request (the probe's or a
client's) succeeded within the last `window_s`. Each probe is cut off after that window as well, so that one
request stuck on a dead connection does not hide that the store is back.

``/livez`` is true as long as anybody can answer it. ``/readyz`` needs the store and the cache: then reads and
writes work. ``/readyz?exclude=etcd`` leaves the store out: cached reads (resourceVersion=0) work. A load
balancer can thus tell a server that cannot write from one that cannot even read.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from ha.controlplane.apiserver.cache import Feed
from ha.controlplane.apiserver.store import Store
from ha.http import Response
from ha.kube.errors import ApiError

__all__ = ["Health"]

_RETRY_S = 0.1
_TEXT = "text/plain; charset=utf-8"
_HEADERS = {"Cache-Control": "no-cache, private", "X-Content-Type-Options": "nosniff"}


class Health:
    """The state behind the health endpoints."""

    def __init__(self, store: Store, feed: Feed, *, period_s: float, window_s: float) -> None:
        self._store = store
        self._feed = feed
        self._period_s = period_s
        self._window_s = window_s
        self.bootstrapped = False
        """Whether the system namespaces are known to exist."""

    async def run(self) -> None:
        """Probe the store for ever."""
        while True:
            served = False
            with trio.move_on_after(self._window_s):
                try:
                    await self._store.revision()
                    served = True
                except ApiError:
                    served = False  # the store has counted and described it; the window decides
            await trio.sleep(self._period_s if served else min(_RETRY_S, self._period_s))

    @property
    def store_serves(self) -> bool:
        """Whether the store answered something linearizable lately."""
        return trio.current_time() - self._store.served_at_s <= self._window_s

    def readiness(self) -> dict[str, bool]:
        """Every check of ``/readyz``, by upstream's names where it has the same."""
        return {
            "ping": True,
            "etcd": self.store_serves,
            "informer-sync": self._feed.synced,
            "poststarthook/start-system-namespaces-controller": self.bootstrapped,
        }

    def liveness(self) -> dict[str, bool]:
        """Every check of ``/livez`` and ``/healthz``."""
        return {"ping": True}

    def answer(self, path: str, query: Mapping[str, str]) -> Response:
        """``/livez``, ``/readyz``, ``/healthz``, and ``/readyz/<check>`` alone."""
        endpoint, _, single = path.strip("/").partition("/")
        checks = self.readiness() if endpoint == "readyz" else self.liveness()
        if single:
            if single not in checks:
                return Response(404, b"404 page not found\n", _TEXT, _HEADERS)
            checks = {single: checks[single]}
        excluded = query.get("exclude", "")
        passed = all(ok for name, ok in checks.items() if name != excluded)
        if passed and "verbose" not in query:
            return Response(200, b"ok", _TEXT, _HEADERS)
        lines = [_line(name, ok=ok, excluded=name == excluded) for name, ok in checks.items()]
        lines.append(f"{endpoint} check {'passed' if passed else 'failed'}")
        body = "\n".join(lines) + "\n"
        return Response(200 if passed else 500, body.encode(), _TEXT, _HEADERS)


def _line(name: str, *, ok: bool, excluded: bool) -> str:
    if excluded:
        return f"[+]{name} excluded: ok"
    return f"[+]{name} ok" if ok else f"[-]{name} failed: reason withheld"
