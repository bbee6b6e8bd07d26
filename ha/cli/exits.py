"""Exit codes, as the README documents them."""

from __future__ import annotations

from typing import Final

from ha.history.result import Verdict

__all__ = ["BAD_INPUT", "FAILED", "INCONCLUSIVE", "INTERRUPTED", "OK", "READER_GONE", "of_verdict"]

OK: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
INCONCLUSIVE: Final = 3
INTERRUPTED: Final = 130
READER_GONE: Final = 141
"""As a shell tells of whom SIGPIPE ended: what ``git log | head`` comes to, and neither a verdict nor a failure."""


def of_verdict(verdict: Verdict) -> int:
    """0 the claim held, 1 it did not, 3 nobody can tell."""
    return {"pass": OK, "fail": FAILED, "inconclusive": INCONCLUSIVE}[verdict]
