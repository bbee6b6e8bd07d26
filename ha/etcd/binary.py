"""The process of one member of the real etcd: gives its place to the executable, which is then on its own.

To the kubelet, the zygote and whoever injects faults it is the process that was started: same pid, same log. What it
is told is what kubeadm tells it, but for TLS; what differs from its own defaults is what our member is told as well.
It keeps its data in ``data/`` of its disk, which outlives it: started again, it goes on from there, and does not look
at the initial cluster any more.
"""

from __future__ import annotations

import msgspec
import trio

from ha.world import Host

__all__ = ["Config", "arguments", "serve"]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One member of a static cluster. Addresses are ``"ip:port"``; times are whole milliseconds, given in seconds."""

    binary: str
    """The path of the executable."""
    name: str
    members: dict[str, str]
    """Name → peer address."""
    client_url: str
    """Where this member serves clients: gRPC, and the JSON gateway."""
    cluster_token: str
    heartbeat_s: float
    election_s: float
    snapshot_count: int
    progress_s: float = 1.0
    """How often a quiet watch is told how far it has come, if it asked: as our member does, not every ten minutes."""


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Become etcd. Raises OSError when it cannot be executed."""
    argv = arguments(config)
    host.log("becomes", argv=argv)
    task_status.started()
    host.processes.execute(argv)


def arguments(config: Config) -> list[str]:
    """The command line. Every flag is one of etcd 3.4 (3.4.23, at least), and still one in 3.6."""
    peer, client = f"http://{config.members[config.name]}", f"http://{config.client_url}"
    flags = {
        "name": config.name,
        "data-dir": "data",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": ",".join(f"{name}=http://{address}" for name, address in config.members.items()),
        "initial-cluster-state": "new",
        "initial-cluster-token": config.cluster_token,
        "heartbeat-interval": round(config.heartbeat_s * 1000),
        "election-timeout": round(config.election_s * 1000),
        "snapshot-count": config.snapshot_count,
        "experimental-watch-progress-notify-interval": f"{config.progress_s:g}s",
        "logger": "zap",
        "log-outputs": "stderr",
    }
    return [config.binary, *(f"--{flag}={value}" for flag, value in flags.items())]
