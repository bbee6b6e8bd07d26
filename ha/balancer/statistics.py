"""What the load balancer tells about itself: ``/stats`` (JSON), ``/metrics`` (Prometheus text), ``/healthz``."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ha.balancer.backends import Backend, Pool, State, Transition
from ha.http import Handler, Request, Response

__all__ = ["BackendStatistics", "LastCheck", "Statistics", "statistics_handler"]


class LastCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The last active check. `at` is wall-clock time in seconds."""

    at: float
    found: State
    reason: str


class BackendStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One backend. `since` is wall-clock time; `bytes_in` went to the backend, `bytes_out` came from it."""

    address: str
    state: State
    since: float
    reason: str
    last_check: LastCheck | None
    checks_ok: int
    checks_failed: int
    connects_failed: int
    sessions: int
    sessions_total: int
    sessions_shut: int
    bytes_in: int
    bytes_out: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``/stats``. Times are wall-clock seconds of the balancer's node; the last transition is last."""

    at: float
    sessions: int
    refused: int
    retried: int
    backends: dict[str, BackendStatistics]
    transitions: list[Transition]


def _of_backend(b: Backend) -> BackendStatistics:
    last = b.last_check
    return BackendStatistics(
        address=str(b.address),
        state=b.state,
        since=b.since,
        reason=b.reason,
        last_check=LastCheck(at=b.last_check_at, found=last.state, reason=last.reason) if last else None,
        checks_ok=b.checks_ok,
        checks_failed=b.checks_failed,
        connects_failed=b.connects_failed,
        sessions=b.sessions,
        sessions_total=b.sessions_total,
        sessions_shut=b.sessions_shut,
        bytes_in=b.bytes_in,
        bytes_out=b.bytes_out,
    )


def _of_pool(pool: Pool, at: float) -> Statistics:
    return Statistics(
        at=at,
        sessions=sum(b.sessions for b in pool.backends),
        refused=pool.refused,
        retried=pool.retried,
        backends={b.name: _of_backend(b) for b in pool.backends},
        transitions=list(pool.transitions),
    )


_METRICS: tuple[tuple[str, str, str, Callable[[Backend], float]], ...] = (
    ("up", "gauge", "Whether the backend is ready.", lambda b: b.state == "up"),
    ("degraded", "gauge", "Whether the backend is alive but not ready.", lambda b: b.state == "degraded"),
    ("checks_ok_total", "counter", "Health checks that found the backend ready.", lambda b: b.checks_ok),
    ("checks_failed_total", "counter", "Health checks that did not.", lambda b: b.checks_failed),
    ("connects_failed_total", "counter", "Connections that the backend did not take.", lambda b: b.connects_failed),
    ("sessions", "gauge", "Connections relayed now.", lambda b: b.sessions),
    ("sessions_total", "counter", "Connections relayed.", lambda b: b.sessions_total),
    ("sessions_shut_total", "counter", "Connections cut by an ejection.", lambda b: b.sessions_shut),
    ("bytes_in_total", "counter", "Bytes to the backend.", lambda b: b.bytes_in),
    ("bytes_out_total", "counter", "Bytes from the backend.", lambda b: b.bytes_out),
)


def _metrics(pool: Pool) -> str:
    lines = []
    for name, kind, text, value in _METRICS:
        lines.append(f"# HELP ha_balancer_backend_{name} {text}")
        lines.append(f"# TYPE ha_balancer_backend_{name} {kind}")
        lines += [f'ha_balancer_backend_{name}{{backend="{b.name}"}} {int(value(b))}' for b in pool.backends]
    for name, text, total in (
        ("refused_total", "Connections for which no backend was found.", pool.refused),
        ("retried_total", "Connections that were tried on another backend.", pool.retried),
    ):
        lines += [f"# HELP ha_balancer_{name} {text}", f"# TYPE ha_balancer_{name} counter"]
        lines.append(f"ha_balancer_{name} {total}")
    return "\n".join(lines) + "\n"


def statistics_handler(pool: Pool, wall_clock: Callable[[], float]) -> Handler:
    """Answers for a pool."""

    async def handle(request: Request) -> Response:
        path = request.path
        if path == "/stats":
            return Response(200, msgspec.json.encode(_of_pool(pool, wall_clock())))
        if path == "/metrics":
            return Response(200, _metrics(pool).encode(), "text/plain; version=0.0.4")
        if path in {"/healthz", "/livez", "/readyz"}:
            return Response(200, b"ok", "text/plain")
        return Response(404, b"not found\n", "text/plain")

    return handle
