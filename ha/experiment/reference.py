"""The manual of the faults, generated: ``python -m ha.experiment.reference > docs/faults.md``.

It stands here because it tells of both worlds, which faults themselves know nothing of. A test compares the committed
page with what this generates.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ha.chaos.faults import registry
from ha.experiment.worlds import FAULTS
from ha.spec.faults import FIELDS, INSTANT

__all__ = ["markdown"]

_PREFACE = """\
A fault counts only when something shows that it took effect; without such evidence a run is inconclusive. What a world
cannot do is refused when the file is read. `target`, `at`, `for` and `every` are common to all; the fields of a fault
are described in [spec.md](spec.md#fault).

In the real world links, disks and clocks are disturbed by the processes themselves. They say that they obey, and count
what it did to them; a disturbance of links or disks that did nothing at all until it was undone is not attested: a
partition of nodes that have nothing to say to each other, a full disk that nobody writes to. In the simulated world the
evidence is the world's own books: it is what is being disturbed."""


def markdown() -> str:
    """The whole page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield from [
        "# Faults",
        "",
        "<!-- Generated: python -m ha.experiment.reference > docs/faults.md -->",
        "",
        _PREFACE,
        "",
    ]
    worlds = list(FAULTS)
    yield "| fault | " + " | ".join(worlds) + " | hits | fields | what it does | attested by |"
    yield "|---" * (len(worlds) + 5) + "|"
    for name, fields in FIELDS.items():
        fault = registry()[name]
        able = ["yes" if name in FAULTS[world] else "no" for world in worlds]
        own = [f"`{field}`" for field in fields.required] + [f"`{field}`?" for field in fields.optional]
        if name in INSTANT:
            own.append("no `for`")
        hits = "nodes or processes" if fields.component else "nodes"
        if fields.least > 1:
            hits = f"{fields.least} {hits} or more"
        yield "| " + " | ".join([f"`{name}`", *able, hits, ", ".join(own), fault.summary, fault.attestation]) + " |"
    yield from ["", "A field with a question mark may be left out."]


if __name__ == "__main__":
    sys.stdout.write(markdown())
