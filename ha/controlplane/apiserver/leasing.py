"""Store leases for objects that expire (Events), shared by many keys as upstream's lease manager does.

A lease is handed out again while it is young and not full, so that a burst of Events costs one grant. Sharing
lengthens a key's life by at most the reuse window, never shortens it.
"""

from __future__ import annotations

import msgspec
import trio

from ha.controlplane.apiserver.store import Store

__all__ = ["LeasePool"]

_KEYS_MAX = 1000
_REUSE_SHARE = 0.05
_REUSE_MAX_S = 60.0


class _Lease(msgspec.Struct):
    id: int
    expires_reuse_s: float
    keys: int = 0


class LeasePool:
    """Leases by time to live."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._leases: dict[int, _Lease] = {}

    async def lease(self, ttl_s: int) -> int:
        """The id of a lease with at least `ttl_s` seconds to live. Raises ApiError."""
        lease = self._leases.get(ttl_s)
        if lease is None or trio.current_time() >= lease.expires_reuse_s or lease.keys >= _KEYS_MAX:
            window_s = min(ttl_s * _REUSE_SHARE, _REUSE_MAX_S)
            until_s = trio.current_time() + window_s
            lease = _Lease(await self._store.lease(ttl_s + round(window_s)), until_s)
            self._leases[ttl_s] = lease
        lease.keys += 1
        return lease.id
