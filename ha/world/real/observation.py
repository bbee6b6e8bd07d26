"""A signal whose sender wants to know that it took effect, and how that is seen.

The kernel tells the zygote with SIGCHLD that a child ended, stopped or went on; what then counts is the
truth of the moment: reaped or not, and the state of its threads in ``/proc/<pid>/task/*/stat``.
"""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ha.world import Signal
from ha.world.real import wire

__all__ = ["NUMBERS", "Observation"]

NUMBERS: Final[dict[Signal, signals.Signals]] = {
    "kill": signals.SIGKILL,
    "terminate": signals.SIGTERM,
    "pause": signals.SIGSTOP,
    "resume": signals.SIGCONT,
}


@dataclass(slots=True)
class Observation:
    """One signal to the processes in `targets` (name → pid), waiting to be seen to work."""

    id: int
    signal: Signal
    targets: dict[str, int]
    group: int | None
    exited: dict[str, int] = field(default_factory=dict)

    def reaped(self, pid: int) -> None:
        """A process is gone."""
        self.exited |= {name: pid for name, target in self.targets.items() if target == pid}

    def outcome(self) -> wire.Observed | wire.Failed | None:
        """The evidence, or that there can be none any more, or None: not yet."""
        remaining = {name: pid for name, pid in self.targets.items() if name not in self.exited}
        if self.signal in ("kill", "terminate"):
            return None if remaining else self._observed("exited", self.exited)
        if not remaining:
            return wire.Failed(self.id, "not-attested", f"{', '.join(self.targets)} exited before the {self.signal}")
        stop = self.signal == "pause"
        if any(_stopped(pid) != stop for pid in remaining.values()):
            return None
        return self._observed("stopped" if stop else "running", remaining)

    def _observed(self, what: str, processes: dict[str, int]) -> wire.Observed:
        evidence: dict[str, object] = {"signal": NUMBERS[self.signal].name, what: processes}
        if self.group is not None:
            evidence["process_group"] = self.group
        if self.exited and what != "exited":
            evidence["exited"] = self.exited
        return wire.Observed(self.id, evidence)


def _stopped(pid: int) -> bool:
    """Whether every thread of it is stopped (state T); a process that is just ending is not."""
    try:
        states = [_state(stat) for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except FileNotFoundError:
        return False
    return bool(states) and all(state == "T" for state in states)


def _state(stat: Path) -> str:
    """The field after the name, which stands in parentheses and may hold anything; a vanished thread is dead."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
