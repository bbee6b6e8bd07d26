"""Where results go."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ha.cli import exits
from ha.cli.errors import CommandError

__all__ = ["run_directory"]


def run_directory(out: Path | None, name: str) -> Path:
    """The directory asked for, or a new one under ``runs/``; made, and empty. Raises CommandError."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    directory = (out or Path("runs") / f"{stamp}-{name}").absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        in_use = any(directory.iterdir())
    except FileExistsError as error:
        raise CommandError(f"{directory}: is not a directory", exits.BAD_INPUT) from error
    except OSError as error:
        raise CommandError(f"{directory}: cannot be the run directory: {error.strerror}", exits.BAD_INPUT) from error
    if in_use:
        raise CommandError(f"{directory}: is not empty; name a new or an empty directory", exits.BAD_INPUT)
    return directory
