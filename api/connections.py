"""Connections: which process takes one; and an end where gunicorn's gevent worker waits without
end: for a client that takes nothing of its answer, for one that brings nothing of its request, and
for the rest of a body that nobody wants. Each would hold its greenlet, and what that holds, for as
long as it likes."""

import errno
import logging
import os
import time
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
import orjson
from gevent import socket
from gevent.server import StreamServer
from gunicorn.http.errors import (
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)
from gunicorn.workers.ggevent import GeventWorker

from api.crowd import Place

log = logging.getLogger(__name__)

# Of a body that was refused unread: so much is taken, for so long, before the connection ends.
# Most clients read their answer only when all is sent.
_MOST_UNWANTED = 64 * 1024 * 1024
_UNWANTED_SECONDS = 5.0
_PIECE = 64 * 1024


class Connection(socket.socket):
    """Breaks where nothing moves for its timeout, as if the client had gone. The head of an answer
    leaves with the first of its body: alone, it would wake the client for nothing."""

    # While an answer begins: what is to leave with what follows.
    _head: bytes | None = None

    def hold_head(self) -> None:
        """Until something follows, or `let_go`."""
        self._head = b""

    def let_go(self) -> None:
        head, self._head = self._head, None
        if head:
            self.sendall(head)

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self._head is not None:
            if not self._head:
                self._head = data
                return
            data, self._head = self._head + data, None
        left = memoryview(data)
        try:
            while left:
                left = left[self.send(left, flags) :]
        except TimeoutError:
            raise _gone() from None

    def recv(self, *arguments: Any) -> bytes:
        try:
            return super().recv(*arguments)
        except TimeoutError:
            raise _gone() from None


def _gone() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "the client neither takes nor sends")


# So long connections are left to a process that has fewer: far longer than one that is not stuck
# takes to come round to them. Whether it has is looked at every so often.
_LEAVE_SECONDS = 0.02
_LOOK_SECONDS = 0.001


class Server(StreamServer):
    """Takes all that wait in one turn of the loop, as a busy process has few turns; but leaves them
    for a moment to a process that has fewer."""

    def __init__(self, place: Place, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._place = place
        self._pause: Any = None

    def do_read(self) -> Any:
        if not self._place.has_more_than_another():
            return super().do_read()
        self.stop_accepting()
        self._leave(time.monotonic() + _LEAVE_SECONDS)
        return None

    def do_handle(self, *args: Any) -> None:
        self._place.add(1)
        super().do_handle(*args)

    def do_close(self, sock: Any, *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._place.add(-1)
        super().do_close(sock, *args)

    def _leave(self, until: float) -> None:
        self._pause = self.loop.timer(_LOOK_SECONDS)
        self._pause.start(self._look_again, until)

    def _look_again(self, until: float) -> None:
        if not self.started:
            return
        has_more = self._place.has_more_than_another()
        if has_more and time.monotonic() < until:
            self._leave(until)
            return
        self.start_accepting()
        if has_more and not self.full() and (taken := super().do_read()):
            self.do_handle(*taken)


# What is no HTTP is refused before any application sees it; all of the rest is 400.
_STATUSES = {
    LimitRequestLine: "414 URI Too Long",
    LimitRequestHeaders: "431 Request Header Fields Too Large",
    ExpectationFailed: "417 Expectation Failed",
}


class Worker(GeventWorker):
    place: Place

    # For gunicorn it is a class, of which it makes what it serves by.
    def server_class(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, listener: Any, *, spawn: Any, **_: Any
    ) -> Server:
        return Server(self.place, listener, handle=partial(self.handle, listener), spawn=spawn)

    def notify(self) -> None:
        """An orphan ends as a worker does that was told to: its requests come to their end first.
        The one of gunicorn leaves at once, while it still accepts and serves."""
        super(GeventWorker, self).notify()
        if self.ppid != os.getppid():
            self.alive = False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        status = next(
            (line for kind, line in _STATUSES.items() if isinstance(exc, kind)), "400 Bad Request"
        )
        log.info("not http", extra={"status": int(status[:3]), "error": type(exc).__name__})
        error = {"message": "The request is not valid HTTP.", "type": "invalid_request_error"}
        body = orjson.dumps({"error": {**error, "param": None, "code": None}})
        head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        with suppress(OSError):
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        connection = Connection(fileno=client.detach())
        connection.settimeout(self.cfg.keepalive)
        # The one between would let it wait without end.
        super(GeventWorker, self).handle(listener, connection, addr)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        try:
            self._answer(listener_name, req, sock, addr)
        except StopIteration:
            _is_read_to_its_end(req.body)
            raise
        if not _is_read_to_its_end(req.body):
            raise StopIteration

    def _answer(self, listener_name: Any, req: Any, connection: Connection, addr: Any) -> None:
        connection.hold_head()
        try:
            super().handle_request(listener_name, req, connection, addr)
        finally:
            connection.let_go()


def _is_read_to_its_end(body: Any) -> bool:
    """After its unwanted rest was taken. If not, no other request can follow."""
    # Most have none, or were read. Of one that is framed in chunks only its end tells.
    if getattr(body.reader, "length", None) == 0:
        return True
    return gevent.with_timeout(_UNWANTED_SECONDS, _take_rest, body, timeout_value=False)


def _take_rest(body: Any) -> bool:
    taken = 0
    try:
        while piece := body.read(_PIECE):
            taken += len(piece)
            if taken > _MOST_UNWANTED:
                return False
            # A quick client would leave no turn to anybody else.
            gevent.sleep(0)
    except (OSError, ParseException):
        return False
    return True
