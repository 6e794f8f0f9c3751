"""The files by which PostgreSQL says that it serves a data directory, and whether that is true.

After a kill -9 they stay. The process id in them may by then belong to another program, which
PostgreSQL takes for a server of its own and refuses to start; and the last word, `ready`, is the
dead server's.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.processes import StartError, command_of

STATUS_LINE = 7
STOP_SECONDS = 15


@dataclass(frozen=True)
class Postmaster:
    data: Path
    socket: Path

    def is_ready(self, pid: int) -> bool:
        """Whether the server that runs as `pid` takes connections."""
        lines = self._lines()
        return (
            len(lines) > STATUS_LINE
            and lines[0].strip() == str(pid)
            and lines[STATUS_LINE].strip() == "ready"
        )

    def clear(self) -> None:
        """Makes room for a new server: ends one that was left behind, removes stale files."""
        pid = self._pid()
        if self._serves(pid):
            self._end(pid)
        self._file.unlink(missing_ok=True)
        self.socket.with_name(self.socket.name + ".lock").unlink(missing_ok=True)

    def _end(self, pid: int) -> None:
        for number in (signal.SIGINT, signal.SIGQUIT):
            deadline = time.monotonic() + STOP_SECONDS
            _send(pid, number)
            while self._serves(pid) and time.monotonic() < deadline:
                time.sleep(0.02)
        if self._serves(pid):
            raise StartError(f"Another PostgreSQL, process {pid}, serves {self.data}: stop it.")

    def _serves(self, pid: int) -> bool:
        command = command_of(pid)
        return bool(command) and Path(command[0]).name == "postgres" and str(self.data) in command

    def _pid(self) -> int:
        first = next(iter(self._lines()), "").strip()
        return int(first) if first.isdigit() else 0

    def _lines(self) -> list[str]:
        try:
            return self._file.read_text(errors="replace").splitlines()
        except OSError:
            return []

    @property
    def _file(self) -> Path:
        return self.data / "postmaster.pid"


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
