"""The state directory, ``~/.local/state/ha``: what it says of the clusters that stay.

NAME/       the cluster's: cluster.json, kubeconfig, disks and logs; made anew by each keeper
NAME.lock   held by the keeper as long as it lives, so that a name has one keeper at most
NAME.log    what the keeper said; outlives it, since it tells why the keeper is gone
"""

from __future__ import annotations

import enum
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ha.cli import exits
from ha.cli.errors import CommandError
from ha.experiment.keep import ClusterState
from ha.world.real import daemon

__all__ = ["Condition", "DamagedError", "Kept", "all_kept", "is_name", "kept", "root"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Condition(enum.Enum):
    """How a cluster stands, as far as the state directory tells."""

    UP = "is up"
    COMING_UP = "is coming up"
    DAMAGED = "is damaged"
    DIED = "died"


class DamagedError(Exception):
    """A cluster.json that cannot be read, or that another version wrote."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One cluster that stays, and where its things are."""

    name: str
    directory: Path
    lock: Path
    log: Path

    @property
    def file(self) -> Path:
        """What describes it while it is up."""
        return self.directory / "cluster.json"

    def state(self) -> ClusterState | None:
        """What cluster.json says, when its keeper is alive. Raises DamagedError."""
        try:
            state = msgspec.json.decode(self.file.read_bytes(), type=ClusterState)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            message = f"{self.file}: damaged, or written by another version of ha ({error})"
            raise DamagedError(f"{message}; 'ha down {self.name}' removes the cluster") from error
        return state if daemon.is_alive(state.pid, state.pid_started) else None

    def keeper(self) -> tuple[int, str] | None:
        """Pid and start time of the process that keeps it, if it lives."""
        found = daemon.holder(self.lock)
        if found is None:
            try:
                state = self.state()
            except DamagedError:
                return None
            found = (state.pid, state.pid_started) if state else None
        return found

    def condition(self) -> Condition:
        """How it stands."""
        try:
            if self.state() is not None:
                return Condition.UP
        except DamagedError:
            return Condition.DAMAGED
        return Condition.COMING_UP if self.keeper() else Condition.DIED

    def describe(self) -> str:
        """One line about how it stands, and what to do about it unless it is up."""
        match self.condition():
            case Condition.DIED:
                return f"cluster {self.name} died; what its keeper said: {self.log}; 'ha down {self.name}' clears it"
            case Condition.DAMAGED:
                try:
                    self.state()
                except DamagedError as error:
                    return str(error)
        return f"cluster {self.name} is up or coming up already; 'ha down {self.name}' first, or choose another --name"

    def remove(self, *, with_log: bool) -> None:
        """Remove what it left. Raises CommandError when somebody brings it up again meanwhile."""
        held = daemon.hold(self.lock)
        if held is None:
            raise CommandError(f"cluster {self.name} is coming up again; nothing removed", exits.BAD_INPUT)
        with held:
            if self.directory.exists():
                shutil.rmtree(self.directory)
            if with_log:
                self.log.unlink(missing_ok=True)
            self.lock.unlink()


def root() -> Path:
    """The state directory. Raises CommandError when there is no home for it."""
    try:
        home = Path.home().absolute()
    except RuntimeError as error:
        raise CommandError(f"no home directory: {error}; set HOME", exits.BAD_INPUT) from error
    if not home.is_dir():
        raise CommandError(f"{home}: the home directory does not exist; set HOME", exits.BAD_INPUT)
    return home / ".local" / "state" / "ha"


def is_name(name: str) -> bool:
    """Whether a cluster may be called so."""
    return _NAME.fullmatch(name) is not None


def kept(name: str) -> Kept:
    """The cluster of a name, whether there is one or not."""
    place = root()
    return Kept(name, place / name, place / f"{name}.lock", place / f"{name}.log")


def all_kept() -> list[Kept]:
    """Every cluster of which anything is there but a log, by name."""
    place = root()
    try:
        entries = list(place.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CommandError(f"{place}: cannot be read: {error.strerror}", exits.BAD_INPUT) from error
    names = {entry.name for entry in entries if entry.is_dir()}
    names |= {entry.stem for entry in entries if entry.suffix == ".lock" and daemon.holder(entry) is not None}
    return [kept(name) for name in sorted(names) if is_name(name)]
