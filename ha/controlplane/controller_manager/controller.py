"""What the controllers of this process are given. What a controller is: `ha.controlplane.manager`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ha.controlplane import manager
from ha.controlplane.controller_manager.config import Config
from ha.controlplane.manager import Key
from ha.kube.client import KubeClient
from ha.kube.events import EventRecorder
from ha.kube.informer import Informer
from ha.kube.kinds import Kind
from ha.kube.meta import timestamp
from ha.world import Host

__all__ = ["Context", "Controller", "Key"]


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


class Controller(manager.Controller, Protocol):
    """A controller that is made from a context."""

    def __init__(self, context: Context) -> None: ...
