"""Treadle's own processes, the API and the worker, as children of `treadle up`."""

import errno
import http.client
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from cli.embedded.processes import Child, StartError

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
API_STOP_SECONDS = 2.0
PORT_SECONDS = 3.0
API = ("-m", "gunicorn", "-c", "python:api.server", "api.app:create_app()")
WORKER = ("-m", "worker")
LOCAL = ("127.0.0.1", "localhost", "::1")
FROM_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Address:
    """Where the API listens, and where a client on this machine finds it."""

    host: str
    port: int

    @property
    def base_url(self) -> str:
        host = self._near
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOCAL

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection(self._near, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def require_free(self) -> None:
        """Waits a little: the processes of an API that was killed let go within a second."""
        deadline = time.monotonic() + PORT_SECONDS
        while (problem := self._problem()) is not None:
            if problem.errno != errno.EADDRINUSE:
                raise StartError(f"TREADLE_HOST {self.host} cannot be used: {problem}.")
            if time.monotonic() > deadline:
                raise StartError(
                    f"Port {self.port} on {self.host} is in use: stop what listens there, "
                    "or set TREADLE_PORT to a free one."
                )
            time.sleep(0.1)

    @property
    def _near(self) -> str:
        return FROM_EVERYWHERE.get(self.host, self.host)

    def _problem(self) -> OSError | None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            socket.create_server((self.host, self.port), family=family).close()
        except OSError as error:
            return error
        return None


class Program:
    """Runs where the packages are, whatever the caller's own directory may hold."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        command = [sys.executable, *arguments]
        self.process = Child(name, command, log, environment=environment, directory=ROOT)

    def launch(self) -> None:
        self.process.start()

    def wait_ready(self) -> None:
        return

    def stop(self) -> None:
        self.process.stop()


class Worker(Program):
    def __init__(self, environment: Mapping[str, str], log: Path, stop_seconds: float) -> None:
        super().__init__("The worker", WORKER, environment, log)
        self.process.stop_seconds = stop_seconds


class Api(Program):
    """Its listening process is told to quit when the supervisor dies; its children then follow."""

    def __init__(self, environment: Mapping[str, str], log: Path, address: Address) -> None:
        super().__init__("The API", API, environment, log)
        self.address = address
        self.process.stop_seconds = API_STOP_SECONDS
        self.process.death_signal = signal.SIGQUIT

    def wait_ready(self) -> None:
        self.process.wait_until(self.address.is_ready, START_SECONDS)
