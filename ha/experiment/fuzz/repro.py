"""What repeats a failure: one Scenario file that needs no other, and says in its head what it shows."""

from __future__ import annotations

import textwrap

from ha.experiment.fuzz.trial import Shrunk
from ha.spec.write import dump

__all__ = ["text"]


def text(shrunk: Shrunk) -> str:
    """The file. Running it comes to the verdict and the digest that stand in it."""
    judged = shrunk.judged
    said = [
        f"Found by ha fuzz, seed {judged.seed}: {judged.verdict}, convicted by {', '.join(judged.kinds)}.",
        judged.reason,
        f"Digest of the trace: {judged.digest}",
    ]
    return dump(shrunk.scenario, comment="\n".join(line for part in said for line in textwrap.wrap(part, 110)))
