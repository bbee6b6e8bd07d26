"""What the load balancer is told."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Config"]

_Positive = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(ge=1)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ports on the node's own address; backends by name; how they are checked.

    A backend is checked every `check_interval_s`, counted from the beginning of the last check; every 100 ms (or
    quarter of the interval) as long as a check disagrees with the backend's state; and at once when a connection
    to it failed. It loses its state after `fall` checks in a row that were worse, and gains one after `rise` that
    were better. So a backend that stops answering is ejected within ``check_interval_s + fall *
    check_timeout_s``, and one that is killed under load about 100 ms after the first connection that it refuses.
    """

    backends: dict[str, str]
    """Name to ``ip:port``."""
    port: int = 6443
    stats_port: int = 8404
    check_interval_s: _Positive = 1.0
    check_timeout_s: _Positive = 1.0
    check_path: str = "/readyz"
    """200: it can do everything."""
    live_path: str = "/livez"
    """Asked when `check_path` answers something else. 200: it can still do something."""
    fall: _Count = 2
    rise: _Count = 1
    connect_timeout_s: _Positive = 1.0
    """After which another backend is tried."""
    close_timeout_s: _Positive = 60.0
    """How long a client may keep a connection that the backend has closed."""
