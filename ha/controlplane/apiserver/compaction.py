"""Compaction of the store: of several API servers, one at a time does it, by upstream's protocol.

Every `interval_s` each server tries to raise the version of one key (``compact_rev_key``) from what it last
saw. Whoever succeeds compacts to the revision that was current at its *previous* turn, and remembers the
present one for the next; the others learn the new version and wait again. So history is kept for one to two
intervals, also when servers come and go. (k8s.io/apiserver/pkg/storage/etcd3/compact.go)
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from ha.controlplane.apiserver.store import Store
from ha.kube.errors import ApiError

__all__ = ["compact_periodically"]


async def compact_periodically(store: Store, interval_s: float, log: Callable[..., None]) -> None:
    """Take turns for ever. A turn that fails is left out: the next one, of whichever server, makes up for it."""
    version, revision = 0, 0
    while True:
        await trio.sleep(interval_s)
        try:
            version, revision = await store.compact(version, revision)
        except ApiError as error:
            log("the store was not compacted", revision=revision, error=str(error))
