"""Several processes of one API, which share its port."""

import os
import signal
import socket
from contextlib import ExitStack
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from tests.acceptance.conftest import Stack, frozen, wait_until


def test_the_process_with_fewer_connections_gets_the_next_ones(stack: Stack) -> None:
    port = urlsplit(stack.start_api()).port
    wait_until(lambda: len(stack.processes()) == 2, 20, "both processes")
    one, other = stack.processes()
    with ExitStack() as connections:

        def connected() -> socket.socket:
            return connections.enter_context(socket.create_connection(("127.0.0.1", port), 30))

        for process in (other, one):
            with frozen(process):
                assert _answers(connected()), "each serves by itself"
        with frozen(one):
            first = [connected() for _ in range(30)]
            assert all(map(_answers, first))
        second: list[socket.socket] = []
        for _ in range(20):
            second.append(connected())
            assert _answers(second[-1])
        os.kill(other, signal.SIGKILL)
        wait_until(lambda: other not in stack.processes(), 10, "the end of the other")
        assert not any(map(_answers, first))
        # One that is slow to come round to it, on a busy machine, may miss some.
        assert sum(map(_answers, second)) > 15


def _answers(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: treadle\r\n\r\n")
        with HTTPResponse(connection) as response:
            response.begin()
            return bool(response.read()) and response.status == 200
    except (OSError, HTTPException):
        return False
