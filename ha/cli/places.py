"""Where results go."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from ha.cli import exits
from ha.cli.errors import CommandError

__all__ = ["note_size", "run_directory"]

_MUCH_BYTES = 256 << 20
_BLOCK_BYTES = 512
"""What the system counts in."""


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


def note_size(directory: Path) -> None:
    """Say so if a run left much on the disk: nobody but its user knows when it may go."""
    size = sum(path.stat().st_blocks * _BLOCK_BYTES for path in directory.rglob("*") if not path.is_symlink())
    if size > _MUCH_BYTES:
        print(f"ha: note: {directory} takes {size >> 20} MiB, most of it the disks of the nodes", file=sys.stderr)
