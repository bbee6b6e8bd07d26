"""The process behind ``ha up``: keeps one cluster until SIGTERM. Started by `ha.cli.clusters`, not by people.

It is the keeper from the moment it holds the lock of the name. What the last one left is cleared only then.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path
from secrets import randbelow

import msgspec

from ha.cli.interrupts import InterruptedByUserError, run_interruptible
from ha.cli.kept import Kept, kept
from ha.cluster import NotReadyError
from ha.experiment import worlds
from ha.experiment.keep import keep
from ha.spec import Engine, LoadBalancerEngine, Topology
from ha.spec.load import topology
from ha.world.real import daemon

__all__: list[str] = []


def _main(file: str, name: str, log: str, engine: str, load_balancer: str) -> int:
    """The engines are empty where the file decides."""
    mine = kept(name)
    lock = daemon.hold(mine.lock)
    if lock is None:
        print(mine.describe(), file=sys.stderr)
        return 1
    with lock:
        Path(log).replace(mine.log)
        if mine.directory.exists():
            shutil.rmtree(mine.directory)
        mine.directory.mkdir()
        shape = topology(
            file,
            engine=msgspec.convert(engine or None, Engine | None),
            load_balancer=msgspec.convert(load_balancer or None, LoadBalancerEngine | None),
        )
        return _keep(worlds.equipped(shape, file), mine)


def _keep(shape: Topology, mine: Kept) -> int:
    pid, started = daemon.identity()
    work = partial(
        keep,
        shape,
        mine.name,
        open_world=worlds.real,
        directory=mine.directory,
        seed=randbelow(2**31),
        pid=pid,
        pid_started=started,
    )
    try:
        run_interruptible(work)
    except NotReadyError as error:
        print(error, file=sys.stderr)
        return 1
    except InterruptedByUserError:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
