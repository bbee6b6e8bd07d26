"""The page of the corpus, generated: ``python -m ha.mutants.reference > docs/mutants.md``. A test compares the two."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ha.mutants import registry

__all__ = ["markdown"]

_PREFACE = """\
Bugs that are planted to see whether they are found: `ha fuzz TOPOLOGY --mutant NAME`, in the simulated world only.
How soon each is found, and by which checker: `ha bench mutants`."""


def markdown() -> str:
    """The whole page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield from ["# Planted bugs", "", "<!-- Generated: python -m ha.mutants.reference > docs/mutants.md -->", ""]
    yield _PREFACE
    yield from ["", "| mutant | component | what is wrong |", "|---|---|---|"]
    for mutant in registry().values():
        yield f"| `{mutant.name}` | {mutant.component} | {mutant.summary} |"


if __name__ == "__main__":
    sys.stdout.write(markdown())
