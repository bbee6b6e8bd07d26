"""``ha fuzz``: searches for a schedule of faults that breaks something, and makes it as small as it gets."""

from __future__ import annotations

import argparse
from functools import partial
from multiprocessing import cpu_count
from pathlib import Path
from secrets import randbelow
from typing import get_args

import msgspec
import trio

from ha.cli import exits
from ha.cli.arguments import seed
from ha.cli.console import live_console, show_json
from ha.cli.errors import CommandError
from ha.cli.interrupts import InterruptedByUserError, run_interruptible
from ha.cli.invocation import command
from ha.experiment.fuzz.cases import Space
from ha.experiment.fuzz.dask import ClusterError, cluster
from ha.experiment.fuzz.search import Failure, Limits, Tally, search
from ha.experiment.fuzz.workers import processes
from ha.mutants import registry
from ha.report.searching import SearchProgress, told
from ha.spec import Engine
from ha.spec.durations import EXAMPLES, parse_duration
from ha.spec.load import topology
from ha.spec.problems import nearest

__all__ = ["register"]

_BUDGET_S = 60.0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints."""

    topology: str
    first_seed: int
    seeds: int
    inconclusive: int
    wall_s: float
    seeds_per_s: float
    virtual_s: float
    struck: int
    features: int
    failures: list[Failure]
    interrupted: bool


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "fuzz",
        help="search for a schedule of faults that breaks something, and shrink it",
        description="Simulate one case after the other: a cluster of at most the given size, clients, a schedule of "
        "faults; all drawn from the seed of the case. Every checker judges every case. The first failure ends the "
        "search: it is shrunk, and written to a file that repeats it (ha run FILE). Exit code: 0 nothing was found, "
        "1 something was, 2 the input is wrong, 3 inconclusive.",
    )
    parser.add_argument(
        "topology",
        help="the largest cluster to search: of a Topology or a Scenario; a file, or a name of the catalogue",
    )
    parser.add_argument(
        "--budget",
        type=_duration,
        metavar="60s",
        help="how long to search, before what was found is shrunk (default: 60s, unless --seeds is given)",
    )
    parser.add_argument("--seeds", type=_positive, metavar="N", help="how many seeds to run (default: no limit)")
    parser.add_argument("--seed", type=seed, metavar="FIRST", help="the first seed (default: a new one)")
    parser.add_argument("--keep-going", action="store_true", help="go on when something was found")
    workers = parser.add_mutually_exclusive_group()
    workers.add_argument("--jobs", type=_positive, metavar="N", help="processes (default: one for each core)")
    workers.add_argument("--cluster", metavar="ADDRESS", help="send the seeds to the Dask scheduler there instead")
    parser.add_argument("--mutant", metavar="NAME", help="plant a known bug, to see that it is found")
    parser.add_argument("--engine", choices=get_args(Engine), help="instead of the one of the topology")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the repro file (default: repro-SEED.yaml)")
    parser.add_argument("--json", action="store_true", help="print what was found as one JSON object on stdout")
    parser.set_defaults(command=_command)


def _command(arguments: argparse.Namespace) -> int:
    space = Space(
        topology=topology(arguments.topology, engine=arguments.engine, world="sim"), mutant=_mutant(arguments.mutant)
    )
    limits = Limits(
        first_seed=randbelow(2**31) if arguments.seed is None else arguments.seed,
        seeds=arguments.seeds,
        budget_s=_BUDGET_S if arguments.budget is None and arguments.seeds is None else arguments.budget,
        keep_going=arguments.keep_going,
    )
    tally = Tally()
    interrupted = False
    try:
        run_interruptible(partial(_search, space, limits, tally, arguments))
    except ClusterError as error:
        raise CommandError(str(error), exits.BAD_INPUT) from error
    except InterruptedByUserError:
        interrupted = True
    if arguments.json:
        show_json(_found(space, limits, tally, interrupted=interrupted))
    else:
        print(*told(space.topology.name, limits, tally, interrupted=interrupted, repeat=_repeat), sep="\n")
    return exits.INTERRUPTED if interrupted else _exit_code(tally)


async def _search(space: Space, limits: Limits, tally: Tally, arguments: argparse.Namespace) -> None:
    opened = cluster(arguments.cluster) if arguments.cluster else processes(arguments.jobs or cpu_count())
    write = partial(_write, arguments.out)
    async with opened as workers, trio.open_nursery() as nursery:
        with SearchProgress(live_console(), tally, limits) as progress:
            nursery.start_soon(progress.run)
            await search(space, limits, workers=workers, tally=tally, listener=progress, write=write)
            nursery.cancel_scope.cancel()


def _mutant(name: str | None) -> str | None:
    known = registry()
    if name is None or name in known:
        return name
    near = nearest(name, known)
    help_ = f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
    raise CommandError(f"unknown mutant {name!r}; {help_}", exits.BAD_INPUT)


def _repeat(repro: str) -> str:
    return command(["run", repro])


def _write(out: Path | None, number: int, failure: Failure, text: str) -> Path:
    """The first one goes where the user says; those after it next to that, by their seed."""
    path = out or Path(f"repro-{failure.seed}.yaml")
    if out is not None and number:
        path = out.with_stem(f"{out.stem}-{failure.seed}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _found(space: Space, limits: Limits, tally: Tally, *, interrupted: bool) -> Found:
    return Found(
        topology=space.topology.name,
        first_seed=limits.first_seed,
        seeds=tally.seeds,
        inconclusive=tally.inconclusive,
        wall_s=round(tally.wall_s, 3),
        seeds_per_s=round(tally.seeds / tally.wall_s, 3) if tally.wall_s else 0.0,
        virtual_s=round(tally.virtual_s, 3),
        struck=tally.struck,
        features=len(tally.features),
        failures=tally.failures,
        interrupted=interrupted,
    )


def _exit_code(tally: Tally) -> int:
    if any(failure.verdict == "fail" for failure in tally.failures):
        return exits.FAILED
    return exits.OK if tally.seeds > tally.inconclusive and not tally.failures else exits.INCONCLUSIVE


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; a whole number from 1 on")
    return int(text)


def _duration(text: str) -> float:
    try:
        found_s = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; a duration such as {EXAMPLES}") from error
    if found_s <= 0:
        raise argparse.ArgumentTypeError("more than nothing")
    return found_s
