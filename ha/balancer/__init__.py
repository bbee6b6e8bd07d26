"""A TCP load balancer for the API servers: health checks, least connections, prompt ejection.

It relays bytes and knows nothing of what they mean, so TLS, watches and upgrades pass. What it adds to a plain
relay is what HAProxy is deployed for in front of API servers, and where that showed weaknesses, better:

* Checks are active (``/readyz``, sub-second if so configured) and passive: a connection that a backend does not
  take is a failed check, and is tried on another backend, unseen by the client.
* Ejection closes what was relayed to the backend (HAProxy: ``on-marked-down shutdown-sessions``), so that no
  client hangs on a server that is paused.
* A server that is alive but not ready is *degraded*, not down: see `ha.balancer.backends` for what follows.

    config      Config                           backends    states, selection, ejection: pure
    checks      one active check                 statistics  /stats, /metrics, /healthz
    program     serve: what drives them

Rejected: balancing requests (L7), which would make one slow parser of everything that passes; and raw sockets
(twice the throughput), which a simulated network does not have. Both are a matter of `ha.http.relay` alone.
"""

from __future__ import annotations

from ha.balancer.backends import State, Transition
from ha.balancer.config import Config
from ha.balancer.program import serve
from ha.balancer.statistics import BackendStatistics, LastCheck, Statistics

__all__ = ["BackendStatistics", "Config", "LastCheck", "State", "Statistics", "Transition", "serve"]
