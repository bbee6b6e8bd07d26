"""The arithmetic of a Deployment's rollout: how large each ReplicaSet should be next. Pure.

Upstream: pkg/controller/deployment (rolling.go) and its util. A rolling update never has more pods than wanted plus
surge, and never fewer available ones than wanted less unavailable; both limits hold at every step because each
step is worked out from what is there, not from what was intended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor

__all__ = ["Limits", "Size", "limits", "next_sizes"]


@dataclass(frozen=True, slots=True)
class Size:
    """A ReplicaSet: replicas wanted of it, and how many of its pods are there and available."""

    spec: int
    actual: int = 0
    available: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a rollout may go above and below the number of replicas."""

    surge: int
    unavailable: int


def limits(replicas: int, max_surge: object, max_unavailable: object) -> Limits:
    """Resolve numbers or percentages: surge rounds up, unavailable down; both zero would never get anywhere."""
    surge = _share(replicas, max_surge, up=True)
    unavailable = min(_share(replicas, max_unavailable, up=False), replicas)
    return Limits(surge, unavailable if surge or unavailable else 1)


def next_sizes(new: Size, old: Mapping[str, Size], replicas: int, bounds: Limits) -> tuple[int, dict[str, int]]:
    """The next `spec.replicas` of the new ReplicaSet and of each old one, by name. `old` is oldest first.

    The new one is scaled first, old ones only when it is not: each step is decided on what the last one brought.
    """
    grown = _grow(new, old, replicas, bounds)
    if grown != new.spec:
        return grown, {name: size.spec for name, size in old.items()}
    return new.spec, _shrink(new, old, replicas, bounds)


def _share(replicas: int, value: object, *, up: bool) -> int:
    text = str(value)
    if text.endswith("%"):
        exact = replicas * int(text[:-1]) / 100
        return ceil(exact) if up else floor(exact)
    return int(text)


def _grow(new: Size, old: Mapping[str, Size], replicas: int, bounds: Limits) -> int:
    if new.spec >= replicas:
        return replicas
    total = new.spec + sum(size.spec for size in old.values())
    room = replicas + bounds.surge - total
    return new.spec if room <= 0 else min(new.spec + room, replicas)


def _shrink(new: Size, old: Mapping[str, Size], replicas: int, bounds: Limits) -> dict[str, int]:
    sizes = {name: size.spec for name, size in old.items()}
    total = new.spec + sum(sizes.values())
    least = replicas - bounds.unavailable
    may_go = total - least - (new.spec - new.available)
    for name, size in old.items():  # pods that do not serve go first: they cost no availability
        if may_go <= 0:
            return sizes
        broken = min(sizes[name] - size.available, may_go)
        if broken > 0:
            sizes[name] -= broken
            may_go -= broken
    spare = new.available + sum(size.available for size in old.values()) - least
    for name in old:
        if spare <= 0:
            break
        gone = min(sizes[name], spare)
        sizes[name] -= gone
        spare -= gone
    return sizes
