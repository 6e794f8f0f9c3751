"""Connections to the model server that another thread can cut.

A call that waits for its first byte has no response yet that could be closed, and a client's read
time-out starts anew with each byte. So each thread's call names the socket it waits on, and
cutting shuts that socket down: the wait ends at once, as if the server had hung up.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from worker.places import away


class Call:
    """One model call. `cut` may come from any thread, before, during and after it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.was_cut = False

    def cut(self) -> None:
        with self._lock:
            self.was_cut = True
            self._shut()

    def waits_on(self, waited_on: socket.socket | None) -> None:
        with self._lock:
            self._socket = waited_on
            if self.was_cut:
                self._shut()

    def __enter__(self) -> "Call":
        _current.call = self
        return self

    def __exit__(self, *_: object) -> None:
        _current.call = None
        self.waits_on(None)

    def _shut(self) -> None:
        if self._socket is not None:
            # Closed or never connected: then nothing waits on it.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class Transport(httpx2.HTTPTransport):
    """httpx's own, with streams that know their call. Proxies of the environment are not used."""

    def __init__(self, limits: httpx2.Limits) -> None:
        super().__init__()
        self._pool.close()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(),
        )


class _Current(threading.local):
    call: Call | None = None


_current = _Current()


class _Backend(httpcore2.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        with away():
            stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        call = _current.call
        if call is not None:
            call.waits_on(self._stream.get_extra_info("socket"))
        with away():
            return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        with away():
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
