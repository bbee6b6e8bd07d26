"""The controllers, one per module, as upstream has them (k8s.io/cloud-provider/controllers)."""

from __future__ import annotations

from ha.controlplane.cloud_controller_manager.context import Context
from ha.controlplane.cloud_controller_manager.controllers.node import NodeController
from ha.controlplane.cloud_controller_manager.controllers.node_lifecycle import NodeLifecycleController
from ha.controlplane.cloud_controller_manager.controllers.service import ServiceController
from ha.controlplane.manager import Controller

__all__ = ["all_controllers"]


def all_controllers(context: Context) -> list[Controller]:
    """Every controller."""
    return [NodeController(context), NodeLifecycleController(context), ServiceController(context)]
