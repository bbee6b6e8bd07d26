"""``ha run`` in the simulated world, and the proof that its seed decides everything.

A simulation needs no undoing: whatever runs in it is gone with it. So Ctrl-C is Python's own KeyboardInterrupt, and
no task watches for signals, which would be one more task in the schedule than where nobody can press a key.
"""

from __future__ import annotations

import shutil
import subprocess  # noqa: TID251  (another process is the point)
import sys
from collections.abc import Sequence
from os import environ  # noqa: TID251  (that process gets it, with another seed for its hashes)
from pathlib import Path
from secrets import randbelow

import msgspec

from ha.cli import exits
from ha.cli.console import live_console
from ha.cli.errors import CommandError
from ha.experiment.simulation import HungError, TraceRecord, run_scenario
from ha.history.result import Result, Run
from ha.report.progress import SimulationProgress
from ha.spec import Scenario
from ha.world.sim import EscapeError, first_difference

__all__ = ["check_determinism", "simulated"]

_MAY_DIFFER = ("started", "wall_s", "run_dir")
_FILES = ("history.jsonl", "events.jsonl", "watches.jsonl")


def simulated(spec: Scenario, seed: int, directory: Path, repeat: str) -> Run:
    """Run it. Raises CommandError when it was interrupted, or when nothing can be said of it."""
    try:
        with SimulationProgress(live_console(), load_s=spec.experiment.duration_s) as progress:
            run, _ = run_scenario(spec, seed=seed, directory=directory, listener=progress, repeat=repeat)
    except (EscapeError, HungError) as error:
        message = f"{error}\n    nothing is said about the claim; what the components said: {directory / 'logs'}"
        raise CommandError(message, exits.INCONCLUSIVE) from error
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        if not _is_interrupt(error):
            raise
        message = f"interrupted: nothing left running; what was recorded: {directory}"
        raise CommandError(message, exits.INTERRUPTED) from error
    return run


def _is_interrupt(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)


def check_determinism(arguments: Sequence[str], directory: Path) -> None:
    """Run ``ha run`` with the same `arguments` once more, in a fresh process whose hashes are seeded anew, and compare
    the two to the last event. Raises CommandError where they part; the second one is then kept beside the first.
    """
    second = directory / "again"
    command = [sys.executable, "-m", "ha.cli.main", "run", *arguments, "--out", str(second), "--json"]
    environment = environ | {"PYTHONHASHSEED": str(1 + randbelow(2**32 - 1))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  (ours)
    if not (second / "trace.json").exists():
        raise CommandError(f"the second run ended with exit code {done.returncode}:\n{done.stderr}", exits.INCONCLUSIVE)
    parted = _parted(directory, second)
    if parted is not None:
        message = f"the same seed made two different runs: {parted}\n    both are kept: {directory} and {second}"
        raise CommandError(message, exits.INCONCLUSIVE)
    shutil.rmtree(second)
    print("ha: note: a second process did exactly the same", file=sys.stderr)


def _parted(one: Path, other: Path) -> str | None:
    """What differs first between two runs; None when nothing does."""
    traces = [msgspec.json.decode((run / "trace.json").read_bytes(), type=TraceRecord) for run in (one, other)]
    if traces[0].digest != traces[1].digest:
        marks = [trace.marks for trace in traces]
        second = first_difference(*marks)
        at = min(map(len, marks)) if second is None else second
        return f"their traces part in second {at} of virtual time (between {at} s and {at + 1} s)"
    for name in _FILES:
        if (one / name).read_bytes() != (other / name).read_bytes():
            return f"their traces agree, but not what was recorded in {name}"
    results = [msgspec.json.decode((run / "result.json").read_bytes(), type=Result) for run in (one, other)]
    fields = [name for name in Result.__struct_fields__ if name not in _MAY_DIFFER]
    differing = [name for name in fields if getattr(results[0], name) != getattr(results[1], name)]
    return f"their traces agree, but not in their results {', '.join(differing)}" if differing else None
