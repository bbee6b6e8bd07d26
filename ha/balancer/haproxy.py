"""The real HAProxy in place of our load balancer: gives its place to the executable, as `ha.etcd.binary` does.

It is told to do what ours does, as far as it can: to relay TCP for as long as it takes (watches are idle), to check its
backends by the same request as often and as patiently, to count a failed connection as a failed check and look again at
once, to try another backend, and to cut the connections of one that is down. What it does not know is ours alone: a
backend that can still serve reads is down for it like any other. kubeadm's guide checks every 2 s with fall 3, rise 2.

It is one process with one thread, as ours is. What it says of itself is CSV, at the port where ours answers in JSON.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import trio

from ha.balancer.config import Config as Embedded
from ha.world import Host

__all__ = ["STATISTICS", "BackendState", "Config", "backend_states", "configuration", "serve"]

STATISTICS = "/stats;csv"
"""Where the statistics are, as `backend_states` reads them."""
_FILE = "haproxy.cfg"
_POOL = "apiservers"
_IDLE = "24d"
"""The longest that it can be told."""
_HASTE_MS = 100


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What our load balancer would be told, and the path of the executable."""

    binary: str
    balancer: Embedded


class BackendState(NamedTuple):
    """A backend as HAProxy sees it."""

    up: bool
    reason: str


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Become HAProxy. Raises OSError when it cannot be executed."""
    await host.disk.replace(_FILE, configuration(config.balancer, host.address).encode())
    argv = [config.binary, "-db", "-f", _FILE]
    host.log("becomes", argv=argv)
    task_status.started()
    host.processes.execute(argv)


def configuration(config: Embedded, address: str) -> str:
    """The whole configuration file of HAProxy 2.2 or newer, for a node with this address."""
    interval_ms, timeout_ms = _ms(config.check_interval_s), _ms(config.check_timeout_s)
    haste_ms = min(_HASTE_MS, max(1, interval_ms // 4))
    servers = "\n".join(f"    server {name} {backend} check" for name, backend in config.backends.items())
    return f"""\
global
    nbthread 1

defaults
    mode tcp
    timeout connect {_ms(config.connect_timeout_s)}ms
    timeout check {timeout_ms}ms
    timeout client {_IDLE}
    timeout server {_IDLE}
    timeout client-fin {_ms(config.close_timeout_s)}ms
    timeout server-fin {_ms(config.close_timeout_s)}ms
    retries {max(1, len(config.backends) - 1)}
    option redispatch 1
    option splice-auto

frontend control-plane
    bind {address}:{config.port}
    default_backend {_POOL}

backend {_POOL}
    balance leastconn
    source {address}
    option httpchk
    http-check send meth GET uri {config.check_path} ver HTTP/1.1 hdr Host {address} hdr User-Agent haproxy
    http-check expect status 200
    default-server inter {interval_ms}ms fastinter {haste_ms}ms downinter {interval_ms}ms fall {config.fall} \
rise {config.rise} observe layer4 error-limit 1 on-error fail-check on-marked-down shutdown-sessions
{servers}

frontend statistics
    mode http
    bind {address}:{config.stats_port}
    timeout client {_ms(config.close_timeout_s)}ms
    monitor-uri /readyz
    stats enable
    stats uri /stats
"""


def backend_states(text: str) -> Mapping[str, BackendState]:
    """Backends by name, from the body of an answer to `STATISTICS`."""
    states = {}
    for line in csv.DictReader(text.removeprefix("# ").splitlines()):
        if line["pxname"] == _POOL and line["svname"] != "BACKEND":
            said = (line["status"], line["check_status"], line["last_chk"])
            states[line["svname"]] = BackendState(line["status"].startswith("UP"), " ".join(filter(None, said)))
    return states


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
