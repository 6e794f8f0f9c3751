"""Real processes: API and workers started as users start them, watched over HTTP and SQL only."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from subprocess import PIPE
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

from shared.settings import Settings
from tests.conftest import Caller
from tests.published.recording import RecordedAsyncTransport, recorded_http

ROOT = Path(__file__).parents[2]


@dataclass
class Stack:
    """Starts processes against one database; the fixture ends them."""

    settings: Settings
    secret: str
    logs: Path
    code: Path = ROOT  # whose processes are started from now
    environment: dict[str, str] = field(default_factory=dict)  # of every process started from now
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    base_urls: list[str] = field(default_factory=list)
    clients: ExitStack = field(default_factory=ExitStack)

    def start_api(self, seconds: float = 50) -> str:
        """Returns its base URL, once it answers, within that time."""
        url = f"http://127.0.0.1:{self.launch_api()}"
        wait_until(lambda: _is_ready(f"{url}/readyz"), seconds, "the API")
        self.base_urls.append(f"{url}/v1")
        return f"{url}/v1"

    def launch_api(self) -> int:
        """Returns its port, without waiting for it."""
        port = free_port()
        self._start("api", TREADLE_PORT=str(port))
        return port

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        return self._start("worker", **environment)

    def processes(self) -> list[int]:
        """Those of the first API that serve: the one that was started listens only."""
        return children(self.running[0].pid)

    def run(self, *arguments: str) -> str:
        """A command to its end; what it printed."""
        command = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.run(
            command, cwd=self.code, env=self._environment(), stdout=PIPE, text=True, check=True
        ).stdout

    def http(self, number: int = 0, **options: Any) -> httpx2.Client:
        """Plain HTTP to one of the APIs. What these clients are answered is recorded."""
        return self._open(
            base_url=self.base_urls[number],
            headers={"Authorization": f"Bearer {self.secret}"},
            **options,
        )

    def client(self, number: int = 0, **options: Any) -> OpenAI:
        return OpenAI(
            base_url=self.base_urls[number],
            api_key=self.secret,
            max_retries=0,
            _strict_response_validation=True,
            http_client=self._open(**options),
        )

    def async_client(self, number: int = 0) -> AsyncOpenAI:
        return AsyncOpenAI(
            base_url=self.base_urls[number % len(self.base_urls)],
            api_key=self.secret,
            max_retries=0,
            _strict_response_validation=True,
            http_client=httpx2.AsyncClient(transport=RecordedAsyncTransport()),
        )

    def stop(self) -> None:
        self.clients.close()
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)

    def _open(self, **options: Any) -> httpx2.Client:
        return self.clients.enter_context(closing(recorded_http(**options)))

    def _environment(self) -> dict[str, str]:
        given = environment_of(self.settings) | self.environment
        return given | {"PYTHONPATH": str(self.code)}

    def _start(self, part: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.logs / f"{part}-{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", part],
                cwd=self.code,
                env=self._environment() | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.running.append(process)
        return process


@pytest.fixture
def stack(settings: Settings, caller: Caller, tmp_path: Path) -> Iterator[Stack]:
    with ended(Stack(settings, caller.secret, tmp_path)) as stack:
        yield stack


@contextmanager
def ended(stack: Stack) -> Iterator[Stack]:
    """Its processes are ended afterwards, and their last words shown."""
    try:
        yield stack
    finally:
        stack.stop()
        for log in sorted(stack.logs.glob("*.log")):
            sys.stdout.write(f"{log.name}:\n{log.read_text()[-4000:]}\n")


def children(pid: int) -> list[int]:
    listing = ["ps", "-A", "-o", "pid=,ppid="]
    lines = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in lines.splitlines()]
    return [int(child) for child, parent in pairs if parent == str(pid)]


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_until(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Looks often rather than sleeping long; fails the test by name when the time is up."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def environment_of(settings: Settings) -> dict[str, str]:
    """With which a process has these settings."""
    values = {one.metadata["env"]: getattr(settings, one.name) for one in fields(settings)}
    given = {name: str(value) for name, value in values.items() if value not in ("", {}, None)}
    return {**os.environ, **given}


def _is_ready(url: str) -> bool:
    """It reaches PostgreSQL, and hears events."""
    try:
        return httpx2.get(url, timeout=2).json() == {"postgresql": True, "redis": True}
    except httpx2.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
