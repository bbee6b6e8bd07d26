"""The zygote's protocol: framing, and what is not a message."""

import pytest

from ha.world import ProcessExit
from ha.world.real import wire


def test_frames_are_cut_out_of_any_split_of_the_stream() -> None:
    messages = [
        wire.Start(id=1, node="n", name="p", program="m:f", config=b"\0\xff" * 500, labels={"a": "b"}),
        wire.List(id=2, node="n"),
        wire.SendSignal(id=3, node="n", name=None, signal="kill", observe=True),
        wire.Close(id=4),
    ]
    stream = b"".join(map(wire.frame, messages))
    for step in (1, 3, 7, len(stream)):
        frames = wire.Frames()
        received = [
            wire.decode_request(body) for i in range(0, len(stream), step) for body in frames.feed(stream[i : i + step])
        ]
        assert received == messages


def test_notices_survive_the_wire() -> None:
    notice = wire.Exited("n", ProcessExit(name="p", pid=7, code=None, signal=9))
    (body,) = wire.Frames().feed(wire.frame(notice))
    assert wire.decode_message(body) == notice


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03"])
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_request(body)
    with pytest.raises(wire.WireError):
        wire.decode_message(body)


def test_an_absurd_length_is_refused_before_it_is_buffered() -> None:
    with pytest.raises(wire.WireError, match="frame of"):
        wire.Frames().feed(b"\xff\xff\xff\xff")
