"""One controller per module, found by `ha.controlplane.controller_manager.registry`."""
