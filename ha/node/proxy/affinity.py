"""Session affinity: which endpoint a client was last carried to. Pure; times are the caller's, in seconds.

As upstream's ``ClientIP``: a client is its IP address, and is forgotten when it made no connection for the timeout.
"""

from __future__ import annotations

from collections import OrderedDict

from ha.world import Address

__all__ = ["Affinity"]


class Affinity:
    """The clients of one service port."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, tuple[Address, float]] = OrderedDict()  # by client, the longest quiet first

    def __len__(self) -> int:
        return len(self._last)

    def endpoint(self, client: str, now_s: float, timeout_s: float) -> Address | None:
        """Where the client was carried to, if that is not too long ago."""
        found = self._last.get(client)
        return found[0] if found is not None and now_s - found[1] <= timeout_s else None

    def note(self, client: str, endpoint: Address, now_s: float, timeout_s: float) -> None:
        """The client is carried to an endpoint now. Those who have been quiet for too long are forgotten."""
        self._last[client] = endpoint, now_s
        self._last.move_to_end(client)
        while now_s - next(iter(self._last.values()))[1] > timeout_s:
            self._last.popitem(last=False)
