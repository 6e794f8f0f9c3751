"""`treadle up` as a person starts it, and what it printed."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from openai import OpenAI

from cli.embedded.home import Home
from cli.embedded.processes import is_alive
from tests.acceptance.conftest import wait_until
from tests.published.recording import recorded_http

ROOT = Path(__file__).parents[2]
START_SECONDS = 45


class Up:
    """One `treadle up` with what it printed."""

    def __init__(self, home: Path, port: int, model_base_url: str, **more: str) -> None:
        self.home = home
        self.port = port
        self.lines: list[str] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if "_URL" not in name},
            "TREADLE_HOME": str(home),
            "TREADLE_PORT": str(port),
            "TREADLE_MODEL_BASE_URL": model_base_url,
            **more,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str) -> None:
        def printed() -> bool:
            assert words in self.text or self.process.poll() is None, self.text
            return words in self.text

        wait_until(printed, START_SECONDS, f"{words!r} in:\n{self.text}")

    def started(self) -> "Up":
        self.wait_for("Ctrl-C")
        return self

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """For its end, and for the last that it printed."""
        status = self.process.wait(START_SECONDS)
        self._reader.join(5)
        return status

    def client(self) -> OpenAI:
        """With the key that it made."""
        given = Home(self.home).client_settings()
        base_url, key = given["OPENAI_BASE_URL"], given["OPENAI_API_KEY"]
        return OpenAI(base_url=base_url, api_key=key, max_retries=0, http_client=recorded_http())

    def processes(self) -> set[int]:
        """Everything that works for this home, whoever its parent is by now."""
        found = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        return {pid for pid in found - {os.getpid()} if is_alive(pid) and self._is_ours(pid)}

    def worker(self) -> int:
        """The pid of its worker, or 0 while there is none."""
        return next((pid for pid in self.processes() if b"worker.app" in _read(pid, "cmdline")), 0)

    def treadle(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def _is_ours(self, pid: int) -> bool:
        mark = str(self.home)
        try:
            place = str(Path(f"/proc/{pid}/cwd").readlink())
        except OSError:
            place = ""
        said = _read(pid, "environ") + _read(pid, "cmdline")
        return mark in place or mark.encode() in said

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            self.lines.extend(output)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
