"""The driver of the load balancer: listeners, one task per backend that checks it, one per client connection.

A connection of a client holds one cancel scope for all that it does with a backend, dialling included; to eject
a backend is to cancel the scopes that are registered with it. While nothing was relayed the client notices
nothing: the next backend is tried.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

import trio

from ha import http
from ha.balancer.backends import Backend, Finding, Pool
from ha.balancer.checks import check
from ha.balancer.config import Config
from ha.balancer.statistics import statistics_handler
from ha.world import Address, Host, Stream

__all__ = ["serve"]

_HASTE_S = 0.1
"""Between checks of a backend whose state is in doubt, unless a quarter of the interval is less."""


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Relay connections to `config.port` until cancelled. Raises OSError when a port is taken, ValueError."""
    balancer = _Balancer(host, config)
    listener = await host.net.listen(config.port)
    async with listener:
        statistics = await host.net.listen(config.stats_port)
        async with trio.open_nursery() as nursery:
            handler = statistics_handler(balancer.pool, host.wall_clock)
            await nursery.start(partial(http.serve, statistics, handler, log=host.log, wall_clock=host.wall_clock))
            for backend in balancer.pool.backends:
                nursery.start_soon(balancer.keep_checking, backend)
            task_status.started()
            await http.accept_forever(
                listener, lambda stream: nursery.start_soon(balancer.serve_client, stream), host.log
            )


class _Balancer:
    def __init__(self, host: Host, config: Config) -> None:
        addresses = [(name, Address.parse(text)) for name, text in config.backends.items()]
        self.pool = Pool(addresses, fall=config.fall, rise=config.rise, at=host.wall_clock())
        self._host = host
        self._config = config
        self._scopes: dict[Backend, dict[trio.CancelScope, None]] = {b: {} for b in self.pool.backends}
        self._doubts = {b: trio.Event() for b in self.pool.backends}
        """Set when something was seen since the last check began that calls for another."""

    # --- health

    async def keep_checking(self, backend: Backend) -> NoReturn:
        """Check one backend for ever."""
        client = http.Client(self._host.net, backend.address, headers={"user-agent": "ha-balancer"}, max_idle=0)
        interval_s = self._config.check_interval_s
        haste_s = min(interval_s / 4, _HASTE_S)
        while True:
            began = trio.current_time()
            doubt = self._doubts[backend] = trio.Event()
            finding = await check(client, self._config)
            in_doubt = finding is None or self._note_check(backend, finding)
            await trio.sleep_until(began + haste_s)
            if not in_doubt:
                with trio.move_on_at(began + interval_s):
                    await doubt.wait()

    def _note_check(self, backend: Backend, finding: Finding) -> bool:
        """Count a check. Whether it left the backend in a state that the check disagrees with."""
        backend.last_check, backend.last_check_at = finding, self._host.wall_clock()
        if finding.state == "up":
            backend.checks_ok += 1
        else:
            backend.checks_failed += 1
        self._observe(backend, finding)
        return backend.state != finding.state

    def _observe(self, backend: Backend, finding: Finding) -> None:
        transition = self.pool.observe(backend, finding, self._host.wall_clock())
        if transition is None:
            return
        self._host.log(
            "backend changed",
            backend=backend.name,
            before=transition.before,
            after=transition.after,
            reason=transition.reason,
        )
        for unfit in self.pool.unfit():
            unfit.sessions_shut += len(self._scopes[unfit])
            for scope in list(self._scopes[unfit]):
                scope.cancel()

    # --- connections

    async def serve_client(self, client: Stream) -> None:
        """Relay one connection: the exception boundary of it."""
        try:
            await self._try_backends(client)
        except Exception:  # noqa: BLE001  (one connection must not end the others)
            self._host.log("connection failed", traceback=traceback.format_exc())
        finally:
            await trio.aclose_forcefully(client)

    async def _try_backends(self, client: Stream) -> None:
        tried: list[Backend] = []
        while (backend := self.pool.choose(tried)) is not None:
            self.pool.retried += bool(tried)
            tried.append(backend)
            if await self._relay_through(backend, client):
                return
        self.pool.refused += 1

    async def _relay_through(self, backend: Backend, client: Stream) -> bool:
        """Relay the whole connection. False: there was none, or the backend was ejected before there was one."""
        server = None
        with trio.CancelScope() as scope, self._session(backend, scope):
            server = await self._dial(backend)
            if server is not None:
                try:
                    if await http.relay(
                        self._host.net, client, server, backend, close_timeout_s=self._config.close_timeout_s
                    ):
                        self._doubts[backend].set()
                finally:
                    await trio.aclose_forcefully(server)
        return server is not None

    @contextmanager
    def _session(self, backend: Backend, scope: trio.CancelScope) -> Iterator[None]:
        """Count a connection from the moment that it is meant for a backend, and let an ejection reach it."""
        backend.sessions += 1
        self._scopes[backend][scope] = None
        try:
            yield
        finally:
            backend.sessions -= 1
            del self._scopes[backend][scope]

    async def _dial(self, backend: Backend) -> Stream | None:
        """Connect. A failure counts as a failed check, and has the next one made at once."""
        try:
            with trio.fail_after(self._config.connect_timeout_s):
                server = await self._host.net.dial(backend.address)
        except trio.TooSlowError:
            reason = f"no connection within {self._config.connect_timeout_s} s"
        except OSError as error:
            if http.is_shortage(error):
                self._host.log("cannot connect", backend=backend.name, error=repr(error))
                return None
            reason = f"{type(error).__name__}: {error}"
        else:
            backend.sessions_total += 1
            return server
        backend.connects_failed += 1
        self._observe(backend, Finding("down", reason))
        self._doubts[backend].set()
        return None
