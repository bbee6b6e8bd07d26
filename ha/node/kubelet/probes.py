"""Probes: asking containers how they are. httpGet and tcpSocket; exec needs a shell that is not here.

Each declared probe of a running container is a task of its own, as long as that attempt runs. A probe changes its
verdict after `successThreshold` or `failureThreshold` equal answers in a row. Until a startup probe has succeeded, the
other two are not asked. A container without a probe is ready as soon as it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from ha.http import Client, HttpError
from ha.kube.kinds import Object
from ha.world import Address, Host

__all__ = ["ProbeState", "run_probes"]


@dataclass(slots=True)
class ProbeState:
    """What the probes of one attempt of a container say by now."""

    started: bool = True
    ready: bool = True
    live: bool = True
    _passed_startup: trio.Event = field(default_factory=trio.Event)


@dataclass(frozen=True, slots=True)
class _Settings:
    port: int
    path: str | None
    host: str
    initial_delay_s: float
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int


def initial_state(container: Object) -> ProbeState:
    """Before the first answer: not started and not ready where there is a probe for it, alive."""
    started = _settings(container, "startupProbe", "") is None
    return ProbeState(started=started, ready=started and _settings(container, "readinessProbe", "") is None)


async def run_probes(
    host: Host, address: str, container: Object, state: ProbeState, on_change: Callable[[], None]
) -> None:
    """Ask a container at its pod's address until cancelled, keeping `state`. `on_change` is called when it changes."""
    startup = _settings(container, "startupProbe", address)
    readiness = _settings(container, "readinessProbe", address)
    liveness = _settings(container, "livenessProbe", address)

    def is_started(good: bool) -> None:  # noqa: FBT001  (a verdict)
        state.started, state.live = good, good
        state.ready = good and readiness is None
        on_change()

    def is_ready(good: bool) -> None:  # noqa: FBT001  (a verdict)
        state.ready = good
        on_change()

    def is_live(good: bool) -> None:  # noqa: FBT001  (a verdict)
        state.live = good
        on_change()

    if startup is not None:
        await _probe(host, startup, is_started, verdict=None, until_success=True)
        if not state.live:
            return
    async with trio.open_nursery() as nursery:
        if readiness is not None:
            nursery.start_soon(_probe, host, readiness, is_ready, False)
        if liveness is not None:
            nursery.start_soon(_probe, host, liveness, is_live, True)


async def _probe(
    host: Host,
    settings: _Settings,
    tell: Callable[[bool], None],
    verdict: bool | None,  # noqa: FBT001  (the verdict so far)
    until_success: bool = False,  # noqa: FBT001, FBT002  (passed by position to start_soon)
) -> None:
    await trio.sleep(settings.initial_delay_s)
    last, streak = None, 0
    while True:
        good = await _ask(host, settings)
        streak = streak + 1 if good == last else 1
        last = good
        threshold = settings.success_threshold if good else settings.failure_threshold
        if good != verdict and streak >= threshold:
            verdict = good
            tell(good)
            if until_success:
                return
        await trio.sleep(settings.period_s)


async def _ask(host: Host, settings: _Settings) -> bool:
    address = Address(settings.host, settings.port)
    if settings.path is None:
        return await _connects(host, address, settings.timeout_s)
    client = Client(host.net, address, headers={"user-agent": "kube-probe"}, max_idle=0)
    try:
        answer = await client.request("GET", settings.path, timeout_s=settings.timeout_s)
    except HttpError:
        return False
    finally:
        await client.aclose()
    return 200 <= answer.status < 400


async def _connects(host: Host, address: Address, timeout_s: float) -> bool:
    with trio.move_on_after(timeout_s):
        try:
            stream = await host.net.dial(address)
        except OSError:
            return False
        await trio.aclose_forcefully(stream)
        return True
    return False


def _settings(container: Object, name: str, address: str) -> _Settings | None:
    probe: Object | None = container.get(name)
    action: Object | None = (probe.get("httpGet") or probe.get("tcpSocket")) if probe else None
    if probe is None or action is None:
        return None
    return _Settings(
        port=_port(container, action.get("port")),
        path=(action.get("path") or "/") if "httpGet" in probe else None,
        host=action.get("host") or address,
        initial_delay_s=float(probe.get("initialDelaySeconds") or 0),
        period_s=float(probe.get("periodSeconds") or 10),
        timeout_s=float(probe.get("timeoutSeconds") or 1),
        success_threshold=int(probe.get("successThreshold") or 1),
        failure_threshold=int(probe.get("failureThreshold") or 3),
    )


def _port(container: Object, port: object) -> int:
    for declared in container.get("ports") or []:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    return int(str(port)) if str(port).isdecimal() else 0
