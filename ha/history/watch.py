"""What watchers asked for and what they were told, as plain data: one record per message, in the order of arrival.

A *watcher* is a client (`workload`, `client`) that wants to know of every change; it opens one watch after the other
(`number` counts them), each where the last one ended. A watch begins with `WatchBegun` unless it was refused, goes on
with `WatchTold`, and ends with `WatchEnded`. Of API servers `revision` is a resourceVersion, which is the store's.

An event of the store has the type PUT or DELETE and the whole version (a deletion: key and revision). One of an API
server is ADDED, MODIFIED or DELETED; its key is that under which the store keeps the object, its value the object's,
its create revision and version are not known (0).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from ha.history.store import Version

__all__ = ["WatchBegun", "WatchEnded", "WatchRecord", "WatchTold", "WatchedEvent"]


class WatchedEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change of one key. `prev`: what it replaced, where that was asked for."""

    type: Literal["PUT", "DELETE", "ADDED", "MODIFIED", "DELETED"]
    kv: Version
    prev: Version | None = None


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="watch"):
    workload: str
    client: int
    number: int
    at_s: float


class WatchBegun(_Record, frozen=True, kw_only=True, tag="begun"):
    """A watch was confirmed: it covers `revision` and whatever comes later of ``key`` or ``[key, range_end)``."""

    server: str
    """The member's name; ``any member``; ``API``: whichever API server the load balancer chose."""
    key: str
    range_end: str = ""
    revision: int
    resumed: bool = False
    """It goes on where this watcher had come to; otherwise it begins with now, or with `state`."""
    prev_kv: bool = False
    filters: list[str] = []
    """Of etcd: NOPUT, NODELETE."""
    state: list[Version] | None = None
    """What there was at ``revision - 1``, where the watcher asked for that first (clients of the API do)."""


class WatchTold(_Record, frozen=True, kw_only=True, tag="told"):
    """One message: events, or none (a progress notification or a bookmark): everything up to `revision` was told."""

    revision: int
    events: list[WatchedEvent] = []


class WatchEnded(_Record, frozen=True, kw_only=True, tag="ended"):
    """A watch is over, or was refused. *compacted*: what comes next is gone (of the API: 410); *lost*: the server or
    the way to it; *closed*: the server ended it, as agreed; *stopped*: the watcher was.
    """

    reason: Literal["compacted", "lost", "closed", "stopped"]
    compact_revision: int = 0
    """Of etcd, when compacted: the revision that it named."""
    error: str | None = None
    owed: int = 0
    """The revision up to which the watcher must have been told everything before it was stopped; 0: nobody knows."""


WatchRecord: TypeAlias = WatchBegun | WatchTold | WatchEnded
