"""Frames on a connection between members: a length (4 bytes, little-endian), then one msgpack message.

Opening a connection, the dialler and the acceptor prove to each other that they hold the cluster's token, and for
whom they speak, before either listens to the other:

    dialler  → Hello(dialler, acceptor, nonce)
    acceptor → Challenge(nonce, HMAC(token, "acceptor" · both names · both nonces))
    dialler  → Proof(HMAC(token, "dialler" · both names · both nonces))
    acceptor → Welcome

The nonces make a recorded exchange useless; the roles and names in the proofs make it useless to reflect a
proof. The token itself never travels. (Messages after that are neither encrypted nor authenticated one by one.)
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TypeAlias

import msgspec

from ha.raft.messages import Message

__all__ = [
    "MAX_FRAME_BYTES",
    "Challenge",
    "Frame",
    "FrameDecoder",
    "Hello",
    "Ping",
    "Pong",
    "Proof",
    "ProtocolError",
    "Welcome",
    "encode_frame",
    "prove",
]

MAX_FRAME_BYTES = 8 << 20
MAX_HANDSHAKE_BYTES = 4096
_LENGTH_BYTES = 4


class ProtocolError(Exception):
    """The other side does not speak this protocol, or is not who it says it is."""


class _Handshake(msgspec.Struct, frozen=True, array_like=True, tag_field="type"):
    pass


class Hello(_Handshake, frozen=True, tag="hello"):
    """I am `dialler` and want `acceptor`."""

    dialler: str
    acceptor: str
    nonce: bytes


class Challenge(_Handshake, frozen=True, tag="challenge"):
    """I am who you want; prove that you are, too."""

    nonce: bytes
    proof: bytes


class Proof(_Handshake, frozen=True, tag="proof"):
    """I am who I said."""

    proof: bytes


class Welcome(_Handshake, frozen=True, tag="welcome"):
    """Messages from now on."""


class Ping(_Handshake, frozen=True, tag="ping"):
    """Are you there? Asked by the dialler."""


class Pong(_Handshake, frozen=True, tag="pong"):
    """Yes."""


Frame: TypeAlias = Message | Hello | Challenge | Proof | Welcome | Ping | Pong


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    """A message as it travels."""
    body = _encoder.encode(frame)
    assert len(body) <= MAX_FRAME_BYTES, f"a frame of {len(body)} bytes: {type(frame).__name__}"
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


def prove(token: str, role: str, hello: Hello, nonce: bytes) -> bytes:
    """What only a holder of the token can say about this connection."""
    parts = [role.encode(), hello.dialler.encode(), hello.acceptor.encode(), hello.nonce, nonce]
    return hmac.new(token.encode(), msgspec.msgpack.encode(parts), hashlib.sha256).digest()


class FrameDecoder:
    """Bytes in, messages out. `max_bytes` bounds a frame; it is small until the other side is known."""

    def __init__(self) -> None:
        self.max_bytes = MAX_HANDSHAKE_BYTES
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray) -> None:
        """Take bytes."""
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next whole message, or None. Raises ProtocolError."""
        buffer = self._buffer
        if len(buffer) < _LENGTH_BYTES:
            return None
        length = int.from_bytes(buffer[:_LENGTH_BYTES], "little")
        if length > self.max_bytes:
            raise ProtocolError(f"a frame of {length} bytes, more than {self.max_bytes}")
        end = _LENGTH_BYTES + length
        if len(buffer) < end:
            return None
        body = bytes(buffer[_LENGTH_BYTES:end])
        del buffer[:end]
        try:
            return _decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"not a message: {error}") from error
