"""What a checker of an invariant finds: a reason, and who shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Violation"]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be. `shown_by`: the operations or events that show it, in words."""

    reason: str
    shown_by: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "; ".join([self.reason, *self.shown_by])
