"""Finds the controllers: every module of `controllers` has one, named ``CONTROLLER``."""

from __future__ import annotations

import importlib
import pkgutil

from ha.controlplane.controller_manager import controllers
from ha.controlplane.controller_manager.controller import Controller

__all__ = ["all_controllers"]


def all_controllers() -> dict[str, type[Controller]]:
    """Every controller by its name, sorted."""
    found: dict[str, type[Controller]] = {}
    for module in pkgutil.iter_modules(controllers.__path__):
        controller: type[Controller] = importlib.import_module(f"{controllers.__name__}.{module.name}").CONTROLLER
        assert controller.name not in found, f"two controllers are called {controller.name}"
        found[controller.name] = controller
    return dict(sorted(found.items()))
