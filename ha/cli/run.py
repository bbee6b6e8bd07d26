"""``ha run``: a scenario in, a verdict out."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import randbelow
from typing import get_args

import msgspec
import trio

from ha.cli import exits
from ha.cli.arguments import seed
from ha.cli.console import live_console, show, show_json
from ha.cli.errors import CommandError
from ha.cli.interrupts import InterruptedByUserError, run_interruptible
from ha.cli.invocation import command
from ha.cli.places import note_size, run_directory
from ha.cli.simulated import check_determinism, simulated
from ha.cluster import NotReadyError
from ha.experiment import worlds
from ha.experiment.judge import judge
from ha.experiment.recording import Recording
from ha.experiment.run import execute
from ha.history import PhaseEvent
from ha.history.result import Run
from ha.report.directory import write
from ha.report.progress import Progress
from ha.report.terminal import closing, render
from ha.spec import Engine, LoadBalancerEngine, Scenario, WorldName
from ha.spec.load import advice, inputs, scenario
from ha.spec.override import override
from ha.workload import NotSetUpError
from ha.world.real import LeftoverError, WorldLostError

__all__ = ["register"]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "run",
        help="build a cluster, break it under load, and judge what happened",
        description="Build the cluster of a topology, put clients on it, inject the faults of an experiment, check "
        "the recorded history, and write a report. Exit code: 0 the claim held, 1 it did not, 2 the input is wrong, "
        "3 inconclusive.",
    )
    parser.add_argument(
        "file",
        help="a Topology, a Scenario or an Experiment (which runs on the first topology that it names): a file, or a "
        "name of the catalogue",
    )
    parser.add_argument(
        "--chaos",
        metavar="FILE",
        help="the Experiment to run (default: the one of the scenario; for a plain topology kill-etcd-leader, or "
        "cold-restart where etcd has fewer than three members; for a store alone store-kill-leader or "
        "store-cold-restart)",
    )
    parser.add_argument(
        "--world",
        choices=get_args(WorldName),
        help="real: processes on loopback; sim: the same components in virtual time, where one seed decides everything "
        "(default: what the scenario says, else real)",
    )
    parser.add_argument(
        "--seed", type=seed, help="decides every random choice of the run (default: the scenario's, else a new one)"
    )
    parser.add_argument(
        "--engine",
        choices=get_args(Engine),
        help="what keeps the store's members agreed; etcd: the real one (default: the topology's)",
    )
    parser.add_argument(
        "--load-balancer",
        choices=get_args(LoadBalancerEngine),
        help="what stands before the API servers; haproxy: the real one (default: the topology's)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run directory (default: a new one under runs/)")
    parser.add_argument(
        "--check-determinism",
        action="store_true",
        help="simulate a second time in another process and compare; exit code 3 when the two differ",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on stdout")
    parser.set_defaults(command=_command)


def _command(arguments: argparse.Namespace) -> int:
    spec = scenario(arguments.file, arguments.chaos)
    spec = override(
        spec,
        world=arguments.world,
        seed=arguments.seed,
        engine=arguments.engine,
        load_balancer=arguments.load_balancer,
    )
    worlds.check(spec, arguments.file, arguments.chaos)
    spec = msgspec.structs.replace(spec, topology=worlds.equipped(spec.topology, arguments.file))
    if arguments.check_determinism and spec.world != "sim":
        message = "--check-determinism: the real world is never the same twice; allowed: --world sim"
        raise CommandError(message, exits.BAD_INPUT)
    for line in advice(spec):
        print(f"ha: note: {line}", file=sys.stderr)
    seed = spec.seed if spec.seed is not None else randbelow(2**31)
    directory = run_directory(arguments.out, f"{spec.name}-{seed}")
    _keep_inputs(directory, inputs(arguments.file, arguments.chaos))
    words = _words(arguments, seed)
    run = (simulated if spec.world == "sim" else _run)(spec, seed, directory, command(["run", *words]))
    write(run, directory)
    if arguments.check_determinism:
        check_determinism(words, directory)
    if arguments.json:
        show_json(run.result)
    else:
        show(render(run.result))
        print(*closing(run.result), sep="\n")
    note_size(directory)
    return exits.of_verdict(run.result.verdict)


def _run(spec: Scenario, seed: int, directory: Path, repeat: str) -> Run:
    started = datetime.now(UTC)

    async def work() -> Run:
        with Progress(live_console()) as progress:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(progress.run)
                with Recording(directory, progress) as recording:
                    observed = await execute(spec, open_world=worlds.real, seed=seed, recording=recording)
                    recording.event(PhaseEvent(at_s=recording.now_s(), phase="check"))
                    run = judge(spec, observed, recording, seed=seed, started=started, world="real", repeat=repeat)
                nursery.cancel_scope.cancel()
        return run

    try:
        return run_interruptible(work)
    except (NotReadyError, NotSetUpError, WorldLostError, LeftoverError) as error:
        message = f"{error}\n    what the components said: {directory / 'logs'}"
        raise CommandError(message, exits.INCONCLUSIVE) from error
    except InterruptedByUserError as error:
        raise CommandError(f"{error}; what was recorded: {directory}", exits.INTERRUPTED) from error


def _keep_inputs(directory: Path, files: Sequence[Path]) -> None:
    """Under their own names; of two of one name the later gets a number."""
    kept = directory / "inputs"
    kept.mkdir()
    for number, file in enumerate(files, start=1):
        name = file.name if not (kept / file.name).exists() else f"{number}-{file.name}"
        shutil.copy(file, kept / name)


def _words(arguments: argparse.Namespace, seed: int) -> list[str]:
    """What repeats the run, after ``ha run``."""
    given = {
        "--chaos": arguments.chaos,
        "--world": arguments.world,
        "--engine": arguments.engine,
        "--load-balancer": arguments.load_balancer,
        "--seed": seed,
    }
    return [
        arguments.file,
        *(word for flag, value in given.items() if value is not None for word in (flag, str(value))),
    ]
