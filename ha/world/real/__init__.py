"""The real world: OS processes, loopback sockets, fsync. Opened by `open_world`."""

from ha.world.real.supervisor import FAULTS, LeftoverError, RealWorld, WorldLostError, open_world

__all__ = ["FAULTS", "LeftoverError", "RealWorld", "WorldLostError", "open_world"]
