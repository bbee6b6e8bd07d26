"""The zygote's connections never block it, and never grow without bound."""

import selectors
import socket
from collections.abc import Iterator

import pytest

from ha.world import ProcessExit
from ha.world.real import wire
from ha.world.real.peer import Peer

NOTICE = wire.Exited("n", ProcessExit(name="p" * 1000, pid=1, code=0, signal=None))


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as selector:
        yield selector


@pytest.fixture
def pair(selector: selectors.BaseSelector) -> Iterator[tuple[Peer, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs:
        peer = Peer(ours, "n", selector)
        yield peer, theirs
        peer.close()


def events(selector: selectors.BaseSelector) -> int:
    """What the selector watches for, over all sockets."""
    return sum(key.events for key in selector.get_map().values())


def test_what_the_socket_does_not_take_is_queued_and_sent_later_in_order(selector, pair) -> None:
    peer, theirs = pair
    for _ in range(1000):
        peer.send(NOTICE)
    assert events(selector) == selectors.EVENT_READ | selectors.EVENT_WRITE
    frames, received = wire.Frames(), []
    while len(received) < 1000:
        received += frames.feed(theirs.recv(1 << 20))
        peer.exchange()
    assert {wire.decode_message(body) for body in received} == {NOTICE}
    assert events(selector) == selectors.EVENT_READ


def test_a_peer_that_never_reads_is_dropped_at_a_bound(selector, pair) -> None:
    peer, _ = pair
    sent = 0
    while not peer.closed:
        peer.send(NOTICE)
        sent += 1
        assert sent < 20_000
    assert sent > 1000
    assert events(selector) == 0
    peer.send(NOTICE)
    peer.close()


def test_a_muted_peer_is_not_read_but_still_written_to(selector, pair) -> None:
    peer, theirs = pair
    request = wire.List(id=1, node="n")
    theirs.send(wire.frame(request))
    peer.mute(True)
    assert events(selector) == 0
    assert peer.exchange() == []
    peer.send(NOTICE)
    assert wire.Frames().feed(theirs.recv(1 << 20)) != []
    peer.mute(False)
    assert [wire.decode_request(body) for body in peer.exchange()] == [request]


def test_a_peer_that_hangs_up_is_closed_after_its_last_request(selector, pair) -> None:
    peer, theirs = pair
    theirs.send(wire.frame(wire.List(id=1, node="n")))
    theirs.close()
    assert len(peer.exchange()) == 1
    assert peer.exchange() == []
    assert peer.closed
    assert events(selector) == 0


def test_sending_to_a_peer_that_hung_up_closes_it(selector, pair) -> None:
    peer, theirs = pair
    theirs.close()
    peer.send(NOTICE)
    assert peer.closed
