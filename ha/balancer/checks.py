"""Active health checks: an HTTP request on a fresh connection, as a new client would make it.

A kept connection would be cheaper but tells nothing about accepting. What goes wrong for lack of something on
our own machine (file descriptors, ports) says nothing about the backend, and is no finding.
"""

from __future__ import annotations

from ha.balancer.backends import Finding, State
from ha.balancer.config import Config
from ha.http import Client, ConnectError, HttpError, is_shortage

__all__ = ["check"]


async def check(client: Client, config: Config) -> Finding | None:
    """Ask a backend how it is, for at most twice `check_timeout_s`. None: nothing was learnt."""
    try:
        ready = await client.request("GET", config.check_path, timeout_s=config.check_timeout_s)
        if ready.status == 200:
            return Finding("up", f"{config.check_path} answered 200")
        live = await client.request("GET", config.live_path, timeout_s=config.check_timeout_s)
    except HttpError as error:
        if isinstance(error, ConnectError) and is_shortage(error.__cause__):
            return None
        return Finding("down", f"{type(error).__name__}: {error}")
    state: State = "degraded" if live.status == 200 else "down"
    return Finding(state, f"{config.check_path} answered {ready.status}, {config.live_path} {live.status}")
