"""A process of ours: started with a log file, stopped in bounded time, never outliving us.

On Linux the kernel ends a child when the *thread* that started it ends, so `start` belongs in a
thread that lives as long as the child should. Each child has a session of its own: Ctrl-C in the
terminal reaches the supervisor alone, which then stops the children in the right order.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, Popen

from shared.errors import TreadleError

LAUNCH = Path(__file__).with_name("launch.py")
OURSELVES = "-"
LOG_BYTES = 10 * 1024 * 1024
POLL_SECONDS = 0.01


class StartError(TreadleError):
    """Something that was to be started does not run; the text says what and where to look."""


@dataclass
class Child:
    name: str
    command: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str] | None = None
    account: str = OURSELVES  # as launch.py takes it
    directory: Path | None = None
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 10.0
    death_signal: int = signal.SIGKILL
    _process: Popen[bytes] | None = field(default=None, init=False)
    _log_start: int = field(default=0, init=False)
    _asked_to_stop: bool = field(default=False, init=False)

    def start(self) -> None:
        """A second time restarts it."""
        self.stop()
        directory = str(self.directory) if self.directory else "-"
        launch = [LAUNCH, os.getpid(), self.death_signal, self.account, directory, *self.command]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._asked_to_stop = False
        with _open_log(self.log) as log:
            self._log_start = log.tell()
            self._process = Popen(
                [sys.executable, "-I", "-S", *map(str, launch)],
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def exit_status(self) -> int | None:
        """None while it runs and before it was started; -N when signal N ended it."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, seconds: float) -> int:
        """Raises subprocess.TimeoutExpired."""
        if self._process is None:
            raise StartError(f"{self.name} was not started.")
        return self._process.wait(seconds)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Raises StartError if the process ends first or the time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise self.start_error(f"ended with status {self.exit_status}")
            if time.monotonic() > deadline:
                raise self.start_error(f"was not ready after {seconds:g} s")
            time.sleep(POLL_SECONDS)

    def start_error(self, what: str) -> StartError:
        lines = [line for line in self.output().splitlines() if line.strip()]
        last = f" Its last line: {lines[-1].strip()}" if lines else ""
        return StartError(f"{self.name} {what}; its log is {self.log}.{last}")

    def output(self) -> str:
        """What it wrote since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def signal_stop(self) -> None:
        """Asks once: to some programs a second signal means something else."""
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self._send(self.stop_signal)

    def stop(self) -> None:
        """Asks, waits a bounded time, then kills; what it left behind in its session goes too."""
        self.signal_stop()
        try:
            if self._process:
                self._process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._send(signal.SIGKILL)
        self._process.wait()

    def _send(self, number: int) -> None:
        if self._process and self.running:
            self._process.send_signal(number)


def is_alive(pid: int) -> bool:
    """A zombie is not alive: where nobody reaps, it would look so for ever."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not Path("/proc/self/stat").exists() and _answers(pid)
    return state not in {"Z", "X"}


def command_of(pid: int) -> list[str]:
    """The command line of any living process; empty if there is none."""
    if not is_alive(pid):
        return []
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        listing = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
        return subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()


def run(command: Sequence[str | Path], *, log: Path, account: str, directory: Path) -> int:
    """Runs a program to its end, as that account and in that directory; returns its status."""
    child = Child(Path(command[0]).name, command, log, account=account, directory=directory)
    child.start()
    try:
        return child.wait(120)
    finally:
        child.kill()


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _open_log(path: Path):
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    log = path.open("ab")
    log.seek(0, os.SEEK_END)
    return log
