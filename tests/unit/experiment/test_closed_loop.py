"""The cheap clients of benchmarks, on real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from ha.experiment.benchmarks import CannotMeasureError
from ha.experiment.benchmarks.closed_loop import ClosedLoop
from ha.world import Address

REQUESTS = [b"GET /%d HTTP/1.1\r\n\r\n" % i for i in range(3)]
Answer = Callable[[socket.socket, bytes], None]


@contextmanager
def server(answer: Answer) -> Iterator[tuple[Address, list[bytes]]]:
    """A server that answers each request so; what it was asked."""
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            while request := connection.recv(1000):
                asked.append(request)
                answer(connection, request)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[connection], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield Address(*listener.getsockname()), asked
        listener.shutdown(socket.SHUT_RDWR)


def in_pieces(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: ch")
    connection.sendall(b"unked\r\n\r\n3\r\nabc\r\n")
    connection.sendall(b"0\r\n\r\n")


def test_each_client_asks_again_when_it_was_answered() -> None:
    with server(in_pieces) as (address, asked), ClosedLoop([address], "127.0.0.1", REQUESTS, clients=2) as loop:
        assert sorted(asked) == sorted(REQUESTS[:2]), "each connection is used once before the clock runs"
        taken = loop.run(0.5)
        assert len(taken.each_s) == len(asked) - 2 >= 3
        assert set(asked) == set(REQUESTS)
        assert taken.total_s >= 0.5
        assert taken.core_s > 0
        assert all(0 < each_s < taken.total_s for each_s in taken.each_s)


def test_clients_are_shared_out_among_servers() -> None:
    with (
        server(in_pieces) as (one, asked_one),
        server(in_pieces) as (other, asked_other),
        ClosedLoop([one, other], "127.0.0.1", REQUESTS, clients=3),
    ):
        assert (sorted(asked_one), asked_other) == ([REQUESTS[0], REQUESTS[2]], [REQUESTS[1]])


def refuse(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nwhy?")


def close(connection: socket.socket, _request: bytes) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def babble(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"what?\r\n\r\n")


@pytest.mark.parametrize(("answer", "message"), [(refuse, "503.*why"), (close, "closed"), (babble, "broke")])
def test_another_answer_ends_the_measurement(answer: Answer, message: str) -> None:
    asked = count()

    def at_first_well(connection: socket.socket, request: bytes) -> None:
        (in_pieces if next(asked) < 5 else answer)(connection, request)

    with (
        server(at_first_well) as (address, _),
        ClosedLoop([address], "127.0.0.1", REQUESTS, clients=1) as loop,
        pytest.raises(CannotMeasureError, match=message),
    ):
        loop.run(5)


def test_who_does_not_listen_cannot_be_measured() -> None:
    with server(close) as (address, _):
        pass
    with (
        pytest.raises(CannotMeasureError, match=f"{address}.*refused"),
        ClosedLoop([address], "127.0.0.1", REQUESTS, clients=1),
    ):
        pass
