"""The simulated world: virtual time, memory for disks and wires, one seed. Opened by `open_world` in `simulate`.

Read in this order: `scheduling` (what makes it deterministic), `clock`, `wire`, `network`, `disk`, `host`, `world`;
`escape` finds what would make it depend on more than its seed, `trace` tells whether two runs were the same.
"""

from ha.world.sim.clock import StuckError
from ha.world.sim.escape import EscapeError
from ha.world.sim.scheduling import simulate
from ha.world.sim.trace import Trace, first_difference
from ha.world.sim.world import FAULTS, SimWorld, open_world

__all__ = ["FAULTS", "EscapeError", "SimWorld", "StuckError", "Trace", "first_difference", "open_world", "simulate"]
