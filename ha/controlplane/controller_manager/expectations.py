"""What a controller did that its informer does not show yet.

The copy that a controller decides on lags behind its own writes. Deciding on it alone would create the same pod twice
and delete a second pod for one too many. So every creation and deletion is remembered here until the copy shows it, or
for `_EXPIRE_S` at most: whatever was expected and never came did not happen, or came and went unseen.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

__all__ = ["Expectations"]

_EXPIRE_S = 30.0


class Expectations:
    """Names created and uids deleted, by owner uid. Times are trio's."""

    def __init__(self) -> None:
        self._created: dict[str, dict[str, float]] = {}
        self._deleted: dict[str, dict[str, float]] = {}

    def created(self, owner: str, name: str) -> None:
        """An object is being created under this name."""
        self._created.setdefault(owner, {})[name] = trio.current_time()

    def deleted(self, owner: str, uid: str) -> None:
        """An object is being deleted."""
        self._deleted.setdefault(owner, {})[uid] = trio.current_time()

    def not_created(self, owner: str, name: str) -> None:
        """The creation certainly failed, or its object is in the copy."""
        self._created.get(owner, {}).pop(name, None)

    def not_deleted(self, owner: str, uid: str) -> None:
        """The deletion certainly failed, or the copy shows it."""
        self._deleted.get(owner, {}).pop(uid, None)

    def forget(self, owner: str) -> None:
        """The owner is gone."""
        self._created.pop(owner, None)
        self._deleted.pop(owner, None)

    def missing(self, owner: str, shown: Iterable[str]) -> int:
        """How many objects were created that are not among the names shown."""
        return len(self._live(self._created, owner).keys() - set(shown))

    def deleting(self, owner: str) -> set[str]:
        """The uids on their way out, whatever the copy says."""
        return set(self._live(self._deleted, owner))

    def wait_s(self, owner: str) -> float | None:
        """When the next expectation expires, so that somebody looks again; None without any."""
        times = [*self._live(self._created, owner).values(), *self._live(self._deleted, owner).values()]
        return min(times) + _EXPIRE_S - trio.current_time() + 0.001 if times else None

    def _live(self, all_: dict[str, dict[str, float]], owner: str) -> dict[str, float]:
        mine = all_.get(owner, {})
        now = trio.current_time()
        for name in [n for n, at in mine.items() if now - at >= _EXPIRE_S]:
            del mine[name]
        return mine
