"""Why a command could not be carried out."""

from __future__ import annotations

from ha.cli import exits

__all__ = ["CommandError"]


class CommandError(Exception):
    """Ends a command with a message for the user and an exit code."""

    def __init__(self, message: str, code: int = exits.FAILED) -> None:
        super().__init__(message)
        self.code = code
