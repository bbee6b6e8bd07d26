"""``ha check``: a history in, a verdict out."""

from __future__ import annotations

import argparse
import gc
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter  # noqa: TID251  (how long it takes is told)

from ha.check.judgement import acts, judge
from ha.check.values import BUDGET
from ha.cli import exits
from ha.cli.console import live_console, show, show_json
from ha.cli.errors import CommandError
from ha.history.act import Act
from ha.history.formats import History, detect, registry
from ha.history.jsonl import HistoryFormatError
from ha.report.checking import Checked, CheckedHistory, CheckProgress, Ruling, render
from ha.report.counterexample import picture

__all__ = ["register"]

_RULINGS: dict[bool | None, Ruling] = {True: "linearizable", False: "not linearizable", None: "undecided"}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    formats = registry()
    parser = subparsers.add_parser(
        "check",
        help="judge a recorded history, of ours or of another tool",
        description="Look for one order of all operations that explains every answer. Histories of the formats "
        + "; ".join(f"{known.name}: {known.about}" for known in formats.values())
        + ". Exit code: 0 all are linearizable, 1 one is not, 2 the input is wrong, 3 one could not be decided.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a history")
    parser.add_argument("--format", choices=list(formats), help="instead of the one that the content shows")
    parser.add_argument(
        "--budget",
        type=_positive,
        default=BUDGET,
        metavar="N",
        help=f"configurations that a search may visit before it gives up (default: {BUDGET:,})",
    )
    parser.add_argument(
        "--svg",
        "--out",
        type=Path,
        metavar="PATH",
        help="where the picture of a violation goes: a file, or of several histories a directory "
        "(default: counterexample-NAME.svg here; of several none)",
    )
    parser.add_argument("--json", action="store_true", help="print the verdicts as one JSON object on stdout")
    parser.set_defaults(command=_command)


def _command(arguments: argparse.Namespace) -> int:
    pictures = _pictures(arguments.files, arguments.svg)
    found: list[CheckedHistory] = []
    wrong = False
    with CheckProgress(live_console()) as progress:
        for file, target in zip(arguments.files, pictures, strict=True):
            gc.disable()  # millions of small objects come, and none of them in a circle
            try:
                found.append(_check(file, target, arguments, progress))
            except HistoryFormatError as error:
                wrong = True
                print(f"ha: {error}", file=sys.stderr)
            finally:
                gc.enable()
    if arguments.json:
        show_json(Checked(histories=found))
    elif found:
        show(render(found))
        if len(found) == 1 and found[0].picture:
            print(f"picture   {found[0].picture}")
    return exits.BAD_INPUT if wrong else _exit_code(found)


def _exit_code(found: Sequence[CheckedHistory]) -> int:
    rulings = {one.verdict for one in found}
    if "not linearizable" in rulings:
        return exits.FAILED
    return exits.INCONCLUSIVE if "undecided" in rulings else exits.OK


def _check(file: Path, target: Path | None, arguments: argparse.Namespace, progress: CheckProgress) -> CheckedHistory:
    say = partial(_say, progress, str(file))
    say("is read")
    begun_s = perf_counter()
    name, history = _read(file, arguments.format, say)
    if not len(history):
        torn = " (its only line was not written to its end)" if history.torn else ""
        raise HistoryFormatError(f"{file}: holds no operation{torn}; allowed: a history of at least one")
    read_s = perf_counter()
    try:
        judgement = judge(history, budget=arguments.budget, progress=say)
    except ValueError as error:
        raise HistoryFormatError(f"{file}: cannot be judged: {error}") from error
    checked_s = perf_counter()
    if judgement.verdict is False:
        say("the few operations that show it are looked for")
    shown = acts(history, judgement)
    reasons = judgement.reasons(shown=bool(shown))
    return CheckedHistory(
        file=str(file),
        format=name,
        verdict=_RULINGS[judgement.verdict],
        operations=len(history),
        read_s=round(read_s - begun_s, 6),
        checked_s=round(checked_s - read_s, 6),
        shrunk_s=round(perf_counter() - checked_s, 6),
        method=judgement.method,
        explanation=reasons,
        gave_up=None if judgement.objects is None else judgement.objects.limit,
        counterexample=shown,
        unit=history.unit,
        picture=_draw(shown, f"{file.name}: {reasons[0]}", history.unit, target) if shown else None,
        torn=history.torn,
    )


def _say(progress: CheckProgress, file: str, text: str) -> None:
    progress.say(f"{file}: {text}")


def _read(file: Path, name: str | None, say: partial[None]) -> tuple[str | None, History]:
    """The format and the history. Raises HistoryFormatError, also for a file that cannot be read."""
    try:
        data = file.read_bytes()
    except IsADirectoryError as error:
        raise HistoryFormatError(f"{file}: is a directory; the history of a run is its history.jsonl") from error
    except OSError as error:
        raise HistoryFormatError(f"{file}: cannot be read: {error.strerror}") from error
    known = detect(data, str(file)) if name is None else registry()[name]
    if known is None:
        return None, History()
    return known.name, known.read(data, str(file), lambda done: say(f"{done:,} operations read"))


def _draw(shown: Sequence[Act], title: str, unit: str, target: Path | None) -> str | None:
    if target is None:
        return None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(picture(shown, title, unit) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{target}: cannot be written: {error.strerror}", exits.BAD_INPUT) from error
    return str(target)


def _pictures(files: Sequence[Path], asked: Path | None) -> list[Path | None]:
    """Where the picture of each goes. Files of one name are told apart by their directories."""
    if len(files) == 1:
        return [asked or Path(f"counterexample-{files[0].stem}.svg")]
    if asked is None:
        return [None] * len(files)
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else "-".join(file.with_suffix("").parts[-2:]) for file in files]
    return [asked / f"{name}.svg" for name in names]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; a whole number from 1 on")
    return int(text)
