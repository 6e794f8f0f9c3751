"""Connections as one process of the API takes them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import gevent
from gevent import socket as gevent_socket

from api.connections import Server
from api.crowd import Crowd, Place

WAITING = 40


@contextmanager
def taking(place: Place) -> Iterator[list[object]]:
    """What a server took, while so many wait for it and no turn of its loop was made yet."""
    taken: list[object] = []
    with ExitStack() as ends, gevent_socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(WAITING)
        for _ in range(WAITING):
            ends.enter_context(socket.create_connection(listener.getsockname()))
        server = Server(place, listener, handle=lambda client, _: taken.append(client))
        server.start()
        yield taken
        server.stop()


def turns_until(taken: list[object], number: int) -> int:
    """Turns of the loop that it needs to take so many."""
    turns = 0
    with gevent.Timeout(10):
        while len(taken) < number:
            gevent.sleep(0)
            turns += 1
    return turns


def test_a_process_takes_all_that_wait_in_one_turn_of_its_loop() -> None:
    with taking(Crowd(1).enter()) as taken:
        turns_until(taken, 1)
        assert len(taken) == WAITING


def test_what_nobody_with_fewer_takes_is_taken_all_the_same() -> None:
    crowd = Crowd(2)
    one = crowd.enter()
    crowd.enter()  # one that sleeps
    one.add(100)
    with taking(one) as taken:
        assert turns_until(taken, 1) > 5
        turns_until(taken, 2)
        assert len(taken) == 2


def test_it_waits_no_more_once_another_has_as_many() -> None:
    crowd = Crowd(2)
    one, other = crowd.enter(), crowd.enter()
    one.add(100)
    with taking(one) as taken:
        turns_until(taken, 1)
        other.add(200)
        turns_until(taken, 3)
        assert len(taken) == WAITING


def test_a_connection_counts_until_it_is_closed() -> None:
    crowd = Crowd(2)
    one, other = crowd.enter(), crowd.enter()
    other.add(WAITING)
    with taking(one) as taken:
        turns_until(taken, WAITING)
    assert other.has_more_than_another()
