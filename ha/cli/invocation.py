"""How a command of ours is called where this one was: what the user may paste.

``uv run`` brings its environment along for one command only, so whoever came by it finds no ``ha`` on the PATH
afterwards. It hands down its own path in UV, as every command of uv does, and alone of them names its environment in
VIRTUAL_ENV as an activated one would; both together tell it from uvx, from an activated environment and from an
installed ``ha``.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from os import environ  # noqa: TID251  (who called is told there)

__all__ = ["command"]


def command(words: Sequence[str]) -> str:
    """``ha`` with these words, as a line for the shell of the user."""
    return shlex.join([*_program(), *words])


def _program() -> list[str]:
    uv = environ.get("UV")
    if uv is None or environ.get("VIRTUAL_ENV") != sys.prefix:
        return ["ha"]
    return ["uv" if shutil.which("uv") else uv, "run", "ha"]
