"""What a controller is, and what it is given.

A controller is level-triggered: `keys` says which keys a change concerns, `sync` makes the world right for one key,
looking only at how things are now. `sync` may be called for any key, at any time, any number of times, and after any
failure. It is called for every object when leadership begins. Between two calls a controller may remember only what it
can do without: expectations, when it saw something first.

Controllers read from the shared informers, which run on standbys too, and write through the client, guarded by
resourceVersion or uid, because what they read may be old and another may lead already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from ha.controlplane.controller_manager.config import Config
from ha.kube.client import KubeClient
from ha.kube.events import EventRecorder
from ha.kube.informer import Informer
from ha.kube.kinds import Kind, Object
from ha.kube.meta import timestamp
from ha.world import Host

__all__ = ["Context", "Controller", "Key"]

Key: TypeAlias = tuple[str, ...]
"""What a controller calls its units of work; mostly namespace and name."""


@dataclass(frozen=True, slots=True)
class Context:
    """What all controllers share."""

    client: KubeClient
    host: Host
    config: Config
    events: EventRecorder
    informers: Mapping[Kind, Informer]

    def now(self) -> str:
        """The wall clock, as objects carry it."""
        return timestamp(self.host.wall_clock())


class Controller(Protocol):
    """One controller. `kinds` are those that it watches, `workers` how many keys it works on at a time."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    workers: ClassVar[int]

    def __init__(self, context: Context) -> None: ...

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """The keys that a change concerns. Called for every change, on standbys too; must not block."""
        ...

    async def sync(self, key: Key) -> float | None:
        """Make things right for one key. Returns seconds after which to look again, or None."""
        ...
