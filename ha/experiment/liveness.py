"""The liveness phase: a core is healed, the rest stays broken, the clients go on. The core must come to serve.

Serving is shown over a while, not at a moment: every member and API server of the core is ready, every request that
clients make is served, and so is a new connection each time we look. Nor may the load balancer still hold a server for
up that has not been ready for long: clients keep the connection that works, and the server with the fewest
connections gets the next one, so that a dead one may go unnoticed until what hangs on it has timed out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import trio

from ha.cluster import Cluster, Plan
from ha.experiment.recording import Recording
from ha.history import BackendChange, Event, Operation, ReadyChange
from ha.history.store import LeaseKeepAlive
from ha.http import Client, HttpError
from ha.spec import Liveness
from ha.world import Host

__all__ = ["wait_serving"]

_POLL_S = 0.5
_STEADY_S = 1.0
"""Beyond the time in which a request that hangs has timed out."""
_CHECKS = 10
"""So many of its checks a load balancer may need to see that a server is gone."""
_DONE_NOTHING = ("408", "429")
"""Refusals by which a server says that it did not do its work."""


async def wait_serving(
    liveness: Liveness, cluster: Cluster, host: Host, recording: Recording, *, timeout_s: float
) -> str | None:
    """Until the core serves steadily, `liveness.within_s` at most. None when it does, else what was wrong last.
    `timeout_s`: the patience of clients.
    """
    core = frozenset(liveness.core)
    begun = steady_since = trio.current_time()
    seen = len(recording.operations)
    wrong: str | None = "nothing was asked of it"
    while trio.current_time() < begun + liveness.within_s:
        faulty = [*await cluster.unready(host, core), *await _refusal(cluster.plan, host, timeout_s)]
        fresh, seen = recording.operations[seen:], len(recording.operations)
        kept = _kept(recording.events)
        patience_s = _CHECKS * cluster.plan.topology.timings.load_balancer_check + 2 * timeout_s
        faulty += [
            f"the load balancer holds {node} for up, which is not ready since {since_s:.1f} s"
            for node, since_s in kept.items()
            if recording.now_s() - since_s > patience_s
        ]
        faulty += _unserved(fresh, core)
        if faulty:
            wrong, steady_since = faulty[0], trio.current_time()
        elif trio.current_time() - steady_since >= timeout_s + _STEADY_S:
            if not kept:
                return None
            wrong = None
        await trio.sleep(_POLL_S)
    return wrong


async def _refusal(plan: Plan, host: Host, timeout_s: float) -> list[str]:
    """What a new connection to the endpoint comes to."""
    if plan.endpoint is None:
        return []
    client = Client(host.net, plan.endpoint)
    try:
        answer = await client.request("GET", "/readyz", timeout_s=timeout_s)
    except HttpError as error:
        return [f"a new connection to the endpoint is not served: {error}"]
    finally:
        await client.aclose()
    return [] if answer.status == 200 else ["a new connection to the endpoint reaches a server that is not ready"]


def _kept(events: Sequence[Event]) -> dict[str, float]:
    """API servers that the load balancer holds for up although they are not ready, with the time since when."""
    unready: dict[str, float] = {}
    up: dict[str, bool] = {}
    for event in events:
        if isinstance(event, BackendChange):
            up[event.backend] = event.up
        elif isinstance(event, ReadyChange) and event.ready:
            unready.pop(event.node, None)
        elif isinstance(event, ReadyChange):
            unready.setdefault(event.node, event.at_s)
    return {node: since_s for node, since_s in unready.items() if up.get(node)}


def _unserved(operations: Sequence[Operation], core: Collection[str]) -> Iterator[str]:
    """Requests to the core that were not served. Not counted are renewals of leases: a member passes them on to the
    leader over a connection of their own, and a leader outside of the core that lacks nothing but that goes on leading,
    in etcd as well.
    """
    for operation in operations:
        if operation.store is not None and isinstance(operation.store.request, LeaseKeepAlive):
            continue
        member = operation.store.member if operation.store is not None else None
        if (member is None or member in core) and not _is_served(operation):
            asked = f"{operation.type} {operation.key}" + (f" of {member}" if member is not None else "")
            yield f"{operation.workload} client {operation.client}: {asked}: {operation.error}"


def _is_served(operation: Operation) -> bool:
    """Whether a server did its work, be it by refusing what cannot be done."""
    if operation.outcome != "fail":
        return operation.outcome == "ok"
    if operation.store is not None:
        return operation.store.refusal not in (None, "other")
    error = operation.error or ""
    return error.startswith("4") and not error.startswith(_DONE_NOTHING)
