"""What the supervisor and the processes of a run say to its zygote, and how that is framed.

A frame is a length of four bytes (big endian) and a msgpack body. Requests carry an `id` that their reply
repeats. Notices are sent unasked: `Ready` once, `Exited` for every exit, to the supervisor and to every
process of the same node.

A process may only speak about its own node: the zygote knows each connection's node and ignores the one in
the request.

A `Disturb` of the supervisor is passed on to every process of the nodes that it names, which says with `Obeyed` that
it has been done; when all have, the supervisor gets `Disturbed`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from ha.world import Disturbance, Link, ProcessExit, ProcessInfo, Signal

__all__ = [
    "Close",
    "Closing",
    "Disturb",
    "Disturbed",
    "Exited",
    "Failed",
    "Fault",
    "Frames",
    "InForce",
    "List",
    "Listed",
    "Message",
    "Obeyed",
    "Observed",
    "Ready",
    "Reply",
    "Request",
    "SendSignal",
    "Setup",
    "Start",
    "Started",
    "WireError",
    "WrongClock",
    "decode_message",
    "decode_request",
    "decode_setup",
    "frame",
]

_MAX_FRAME_BYTES = 64 << 20


class WireError(Exception):
    """The other side sent what is not a message."""


class Setup(msgspec.Struct, frozen=True):
    """The first frame to the zygote: the run that it serves. `nodes` maps names to addresses, `subnets` to CIDRs."""

    nodes: dict[str, str]
    subnets: dict[str, str]
    directory: str
    seed: int
    preload: list[str]


class Start(msgspec.Struct, frozen=True, tag=True):
    """Start a program. `boot`: from outside, which brings up a node that is down; only the supervisor may."""

    id: int
    node: str
    name: str
    program: str
    config: bytes
    labels: dict[str, str]
    address: str | None = None
    boot: bool = False


class List(msgspec.Struct, frozen=True, tag=True):
    """Ask what runs on a node."""

    id: int
    node: str


class SendSignal(msgspec.Struct, frozen=True, tag=True):
    """Signal one process, or all of the node when `name` is None. `observe`: reply once the effect was seen."""

    id: int
    node: str
    name: str | None
    signal: Signal
    observe: bool


class Close(msgspec.Struct, frozen=True, tag=True):
    """Kill everything and exit. Only from the supervisor."""

    id: int


class InForce(msgspec.Struct, frozen=True):
    """A disturbance, and the number by which it is told from another one that says the same."""

    number: int
    what: Disturbance


class WrongClock(msgspec.Struct, frozen=True):
    """A node's wall clock: `ahead_s` of the right one at `since_s` of the machine's monotonic clock, and at which rate
    it went from then on.
    """

    ahead_s: float
    rate: float
    since_s: float


class Disturb(msgspec.Struct, frozen=True, tag=True):
    """Of all disturbances, these are in force now; a process that starts later begins with them. And the connections
    that were dialled over the links of `reset` are to be broken. Only from the supervisor.
    """

    id: int
    nodes: list[str]
    in_force: list[InForce]
    clocks: dict[str, WrongClock] = {}
    """Of the nodes whose clock is wrong."""
    reset: list[Link] = []


class Obeyed(msgspec.Struct, frozen=True, tag=True):
    """Answers a `Disturb` that was passed on. `connections`: that are open over links of what is in force, by number;
    under 0, how many were reset. `ahead_s`: what the process now takes its node's clock to be ahead.
    """

    id: int
    connections: dict[int, int]
    ahead_s: float


Request: TypeAlias = Start | List | SendSignal | Disturb | Obeyed | Close


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The zygote has imported what it was asked to, and serves."""

    preload_s: float


class Started(msgspec.Struct, frozen=True, tag=True):
    """Answers `Start`."""

    id: int
    process: ProcessInfo


class Listed(msgspec.Struct, frozen=True, tag=True):
    """Answers `List`, sorted by name."""

    id: int
    processes: list[ProcessInfo]


class Observed(msgspec.Struct, frozen=True, tag=True):
    """Answers `SendSignal`: what was seen; empty unless it asked to `observe`."""

    id: int
    evidence: dict[str, object]


class Disturbed(msgspec.Struct, frozen=True, tag=True):
    """Answers `Disturb`: who obeyed, as ``node/process``, and by number what all that was in force before or is now
    did up to now. A process that is paused is not waited for: it obeys as soon as it goes on.
    """

    id: int
    obeyed: dict[str, Obeyed]
    did: dict[int, dict[str, int]]


class Closing(msgspec.Struct, frozen=True, tag=True):
    """Answers `Close`: every process was sent SIGKILL; the zygote reaps them and exits."""

    id: int


Fault: TypeAlias = Literal["value", "lookup", "os", "not-attested"]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A request was refused, and by whose fault; `errno` for ``"os"``. Id 0: the preload failed."""

    id: int
    fault: Fault
    message: str
    errno: int = 0


class Exited(msgspec.Struct, frozen=True, tag=True):
    """A process of `node` was reaped."""

    node: str
    exit: ProcessExit


Reply: TypeAlias = Started | Listed | Observed | Disturbed | Closing | Failed
Message: TypeAlias = Ready | Reply | Exited | Disturb

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_messages: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def frame(message: Setup | Request | Message) -> bytes:
    """One message as bytes for the stream."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode_setup(body: bytes) -> Setup:
    """The first frame. Raises WireError."""
    try:
        return msgspec.msgpack.decode(body, type=Setup)
    except msgspec.MsgspecError as error:
        raise WireError(f"not a setup: {error}") from error


def decode_request(body: bytes) -> Request:
    """Raises WireError."""
    try:
        return _requests.decode(body)
    except msgspec.MsgspecError as error:
        raise WireError(f"not a request: {error}") from error


def decode_message(body: bytes) -> Message:
    """Raises WireError."""
    try:
        return _messages.decode(body)
    except msgspec.MsgspecError as error:
        raise WireError(f"not a message: {error}") from error


class Frames:
    """Cuts a byte stream into the bodies of its frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are now complete, in order. Raises WireError for an absurd length."""
        self._buffer += data
        bodies = []
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > _MAX_FRAME_BYTES:
                raise WireError(f"frame of {size} bytes")
            if len(self._buffer) < 4 + size:
                break
            bodies.append(bytes(self._buffer[4 : 4 + size]))
            del self._buffer[: 4 + size]
        return bodies
