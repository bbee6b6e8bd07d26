"""What the controllers of this process are given. What a controller is: `ha.controlplane.manager`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ha.controlplane.cloud_controller_manager.cloud import Cloud
from ha.kube.client import KubeClient
from ha.kube.events import EventRecorder
from ha.kube.informer import Informer
from ha.kube.kinds import Kind
from ha.world import Host

__all__ = ["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """What all controllers share."""

    client: KubeClient
    host: Host
    cloud: Cloud
    events: EventRecorder
    informers: Mapping[Kind, Informer]
