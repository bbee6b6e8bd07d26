"""Numeric identities of members and cluster, computed as etcd does for a static initial cluster.

Deterministic, so every member knows them all without asking, and they stay the same over restarts.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha1

__all__ = ["cluster_id", "member_id"]


def member_id(peer_address: str, cluster_token: str) -> int:
    """The 64-bit id of the member at ``ip:port``: the head of SHA-1 over its peer URL and the cluster's token."""
    return _head(f"http://{peer_address}{cluster_token}".encode())


def cluster_id(member_ids: Iterable[int]) -> int:
    """The 64-bit id of the cluster of these members."""
    return _head(b"".join(member.to_bytes(8, "big") for member in sorted(member_ids)))


def _head(data: bytes) -> int:
    return int.from_bytes(sha1(data, usedforsecurity=False).digest()[:8], "big")
