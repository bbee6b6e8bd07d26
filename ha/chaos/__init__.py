"""Faults: whom they hit, what they do, when; each with the evidence that it took effect, each undone.

`targets` resolves a `ha.spec.Target` against the running cluster, `faults` holds one fault per file,
`Injector` runs a schedule of them.
"""

from __future__ import annotations

from ha.chaos.injector import Injector
from ha.chaos.targets import Victim, resolve

__all__ = ["Injector", "Victim", "resolve"]
