"""Userspace forwarding: listens where the table says, and carries each connection to an endpoint.

What upstream asks of the kernel (iptables, nftables) this does itself, as its own userspace mode did up to 1.25,
because the kernel's tables are neither ours without root nor there in virtual time. So the forwarding ends with the
process, and an endpoint sees the node as its client. Cluster IPs would need a kernel: no connection to one is carried.

* An endpoint is drawn at random, or is the client's last one when the Service wants affinity. When it does not answer,
  the next is tried, unseen by the client: all of them briefly, then patiently those that were merely silent.
* Where nobody could take a connection, nobody listens: it is refused, not left hanging.
* A new table breaks no connection, unless its endpoint is no longer among the Service's, in any state. (A pod that is
  deleted stays among them, terminating, until it has ended. One on a node that is silent goes when it is evicted, and
  whoever still waits for it learns so.)
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

from ha import http
from ha.node.proxy.affinity import Affinity
from ha.node.proxy.table import ServicePort, ServicePortName, Table, fronts
from ha.world import Address, Host, Listener, Stream

__all__ = ["Forwarder"]

_DIAL_TIMEOUTS_S = (0.25, 2.0)
"""How long an endpoint is tried, in the first round and in the second."""
_CLOSE_TIMEOUT_S = 60.0
"""How long a client may keep a connection that the endpoint has closed."""


@dataclass(slots=True, eq=False)
class _Front:
    """A port that is listened on, and the service port that it leads to by now."""

    name: ServicePortName
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class Forwarder:
    """`run` carries connections; `apply` says where to. Counts are of connections."""

    def __init__(self, host: Host) -> None:
        self.carried = self.retried = self.failed = self.cut = 0
        self.bytes_in = self.bytes_out = 0
        """From clients to endpoints, and back."""
        self.errors: dict[int, str] = {}
        """Why a port is not listened on that should be."""
        self.is_complete = True
        """Whether trying again would change nothing: what is not listened on may not be, for want of privilege."""
        self._host = host
        self._nursery: trio.Nursery | None = None
        self._table: Table = {}
        self._fronts: dict[int, _Front] = {}
        self._affinities: dict[ServicePortName, Affinity] = {}
        self._tunnels: dict[tuple[ServicePortName, Address], dict[trio.CancelScope, None]] = {}

    @property
    def fronts(self) -> dict[int, ServicePortName]:
        """The ports that are listened on, sorted."""
        return {port: self._fronts[port].name for port in sorted(self._fronts)}

    @property
    def open(self) -> int:
        """How many connections are carried now, or on their way to an endpoint."""
        return sum(map(len, self._tunnels.values()))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry connections until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def apply(self, table: Table) -> None:
        """Forward by this table from now on. Ports that could not be listened on are in `errors` afterwards."""
        self._table = table
        wanted = fronts(table, self._host.address)
        for port in sorted(self._fronts.keys() - wanted.keys()):
            self._fronts.pop(port).scope.cancel()
        self.errors, self.is_complete = {}, True
        for port, name in wanted.items():
            if port in self._fronts:
                self._fronts[port].name = name
            else:
                await self._listen(port, name)
        for name in [n for n in self._affinities if n not in table or table[n].affinity_s is None]:
            del self._affinities[name]
        self._cut()

    async def _listen(self, port: int, name: ServicePortName) -> None:
        assert self._nursery is not None, "tables are applied while it runs"
        try:
            listener = await self._host.net.listen(port)
        except OSError as error:
            self.errors[port] = str(error)
            self.is_complete = self.is_complete and isinstance(error, PermissionError)
            self._host.log("cannot listen", port=port, service=str(name), error=str(error))
        else:
            front = self._fronts[port] = _Front(name)
            self._nursery.start_soon(self._accept, front, listener)

    async def _accept(self, front: _Front, listener: Listener) -> None:
        nursery = self._nursery
        assert nursery is not None, "tables are applied while it runs"
        with front.scope:
            async with listener:
                await http.accept_forever(
                    listener, lambda client: nursery.start_soon(self._serve, front, client), self._host.log
                )

    def _cut(self) -> None:
        """Break the connections whose endpoint is gone."""
        for (name, endpoint), scopes in self._tunnels.items():
            rule = self._table.get(name)
            if rule is None or all(e.address != endpoint for e in rule.endpoints):
                self.cut += len(scopes)
                for scope in scopes:
                    scope.cancel()

    # --- connections

    async def _serve(self, front: _Front, client: Stream) -> None:
        """Carry one connection: the exception boundary of it."""
        try:
            await self._carry(front.name, client)
        except Exception:  # noqa: BLE001  (one connection must not end the others)
            self._host.log("connection failed", traceback=traceback.format_exc())
        finally:
            await trio.aclose_forcefully(client)

    async def _carry(self, name: ServicePortName, client: Stream) -> None:
        rule = self._table.get(name)
        if rule is None:
            return
        client_ip = http.peer_of(client).rpartition(":")[0]
        waiting = self._order(rule, client_ip)
        attempts = 0
        for timeout_s in _DIAL_TIMEOUTS_S:
            for endpoint in waiting.copy():
                attempts += 1
                self.retried += attempts > 1
                server = None
                with trio.CancelScope() as scope, self._tunnel(name, endpoint, scope):
                    try:
                        with trio.move_on_after(timeout_s):
                            server = await self._host.net.dial(endpoint)
                    except OSError:
                        waiting.remove(endpoint)
                    if server is not None:
                        self._pin(rule, client_ip, endpoint)
                        await self._relay(client, server)
                if server is not None:
                    return
                if scope.cancelled_caught:
                    waiting.remove(endpoint)  # it is gone
        self.failed += 1

    async def _relay(self, client: Stream, server: Stream) -> None:
        self.carried += 1
        try:
            await http.relay(self._host.net, client, server, self, close_timeout_s=_CLOSE_TIMEOUT_S)
        finally:
            await trio.aclose_forcefully(server)

    @contextmanager
    def _tunnel(self, name: ServicePortName, endpoint: Address, scope: trio.CancelScope) -> Iterator[None]:
        """Let the end of an endpoint reach a connection, from the moment that it is meant for it."""
        scopes = self._tunnels.setdefault((name, endpoint), {})
        scopes[scope] = None
        try:
            yield
        finally:
            del scopes[scope]
            if not scopes:
                del self._tunnels[name, endpoint]

    def _order(self, rule: ServicePort, client_ip: str) -> list[Address]:
        """The endpoints in the order in which a connection tries them."""
        order = [e.address for e in rule.external]
        self._host.random.shuffle(order)
        affinity = self._affinities.get(rule.name)
        if affinity is not None and rule.affinity_s is not None:
            last = affinity.endpoint(client_ip, trio.current_time(), rule.affinity_s)
            order.sort(key=lambda endpoint: endpoint != last)
        return order

    def _pin(self, rule: ServicePort, client_ip: str, endpoint: Address) -> None:
        if rule.affinity_s is not None and client_ip:
            affinity = self._affinities.setdefault(rule.name, Affinity())
            affinity.note(client_ip, endpoint, trio.current_time(), rule.affinity_s)
