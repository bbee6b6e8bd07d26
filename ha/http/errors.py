"""Why a client got no answer. `definite` tells whether the request can have had an effect.

True: certainly not, nothing of it was sent. False: unknown; it may take effect later, or never.
"""

from __future__ import annotations

__all__ = ["ConnectError", "ConnectionLost", "HttpError", "ProtocolError", "RequestTimeout"]


class HttpError(Exception):
    """A request that was not answered."""

    definite: bool = False


class ConnectError(HttpError):
    """No connection: refused, unreachable, or not made in time. Nothing was sent."""

    definite = True


class RequestTimeout(HttpError):  # noqa: N818  (the field's word)
    """No complete answer in time."""


class ConnectionLost(HttpError):  # noqa: N818  (the field's word)
    """The connection ended before the answer did."""


class ProtocolError(HttpError):
    """What came back is not HTTP."""
