"""How an answer leaves. The sockets keep what is sent in one piece apart from what is sent next."""

import socket
from collections.abc import Iterator

import pytest

from api.connections import Connection

Pair = tuple[Connection, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.settimeout(5)
    with Connection(fileno=near.detach()) as connection, far:
        yield connection, far


def test_a_head_leaves_with_the_first_of_its_body(pair: Pair) -> None:
    connection, far = pair
    connection.hold_head()
    for piece in (b"head", b" body", b"more"):
        connection.sendall(piece)
    assert [far.recv(99), far.recv(99)] == [b"head body", b"more"]


def test_a_head_that_nothing_follows_leaves_at_the_end(pair: Pair) -> None:
    connection, far = pair
    connection.hold_head()
    connection.sendall(b"head")
    connection.let_go()
    connection.sendall(b"next")
    assert [far.recv(99), far.recv(99)] == [b"head", b"next"]


def test_nothing_is_held_where_no_answer_begins(pair: Pair) -> None:
    connection, far = pair
    connection.hold_head()
    connection.let_go()
    connection.sendall(b"told at once")
    assert far.recv(99) == b"told at once"
