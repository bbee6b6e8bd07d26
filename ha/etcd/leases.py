"""Leases as replicated state: which exist, how long they were granted, which keys hang on them.

No time passes here. Counting is the business of `ha.etcd.lessor` on the leader; what the members must agree
on is the outcome, so expiry comes back through the log as a revocation. Attachment needs no commands of its
own: it follows from the committed changes, since a key is attached to the lease that its latest version
names. That is also why a snapshot stores the grants only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ha.etcd.api import KeyValue

__all__ = ["MAX_TTL_S", "Leases"]

MAX_TTL_S = 9_000_000_000


class Leases:
    """Granted leases and their keys."""

    def __init__(self, ttls_s: Mapping[int, int] | None = None) -> None:
        self.ttls_s: dict[int, int] = dict(ttls_s or {})
        """Granted TTL by lease id."""
        self._keys: dict[int, set[bytes]] = {lease: set() for lease in self.ttls_s}
        self._attached: dict[bytes, int] = {}

    def __contains__(self, lease: object) -> bool:
        return lease in self.ttls_s

    def grant(self, lease: int, ttl_s: int) -> None:
        """Add a lease, which must be new."""
        assert lease not in self.ttls_s, f"lease {lease} granted twice"
        self.ttls_s[lease] = ttl_s
        self._keys[lease] = set()

    def remove(self, lease: int) -> None:
        """Remove a lease whose keys are gone."""
        assert not self._keys[lease], f"lease {lease} still has keys"
        del self.ttls_s[lease], self._keys[lease]

    def keys(self, lease: int) -> list[bytes]:
        """The keys attached to a lease, sorted."""
        return sorted(self._keys[lease])

    def follow(self, changes: Iterable[KeyValue]) -> None:
        """Attach and detach as committed changes say."""
        attached = self._attached
        for kv in changes:
            old = attached.pop(kv.key, 0)
            if old:
                self._keys[old].discard(kv.key)
            if kv.lease:
                attached[kv.key] = kv.lease
                self._keys[kv.lease].add(kv.key)
