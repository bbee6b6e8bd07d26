"""The program of a container whose image means nothing here: it does nothing until it is told to end.

Kubernetes' own pause image does the same. Cancellation (SIGTERM) ends it with success.
"""

from __future__ import annotations

import msgspec
import trio

from ha.world import Host

__all__ = ["Config", "serve"]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing to configure."""


async def serve(
    host: Host,  # noqa: ARG001  (every program has these two)
    config: Config,  # noqa: ARG001
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Sleep until cancelled."""
    task_status.started()
    await trio.sleep_forever()
