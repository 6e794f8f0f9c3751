"""Real processes: API and workers started as users start them, watched over HTTP and SQL only."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

from shared.settings import Settings
from tests.conftest import Caller


@dataclass
class Stack:
    """Starts processes against one database; the fixture ends them."""

    settings: Settings
    secret: str
    logs: Path
    environment: dict[str, str] = field(default_factory=dict)  # of every process started from now
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    base_urls: list[str] = field(default_factory=list)

    def start_api(self) -> str:
        """Returns its base URL, once it answers."""
        port = _free_port()
        self._start("api", TREADLE_PORT=str(port))
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_ready(f"{url}/readyz"), 50, "the API")
        self.base_urls.append(f"{url}/v1")
        return f"{url}/v1"

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        return self._start("worker", **environment)

    def client(self) -> OpenAI:
        return OpenAI(
            base_url=self.base_urls[0],
            api_key=self.secret,
            max_retries=0,
            _strict_response_validation=True,
        )

    def async_client(self, number: int = 0) -> AsyncOpenAI:
        return AsyncOpenAI(
            base_url=self.base_urls[number % len(self.base_urls)],
            api_key=self.secret,
            max_retries=0,
            _strict_response_validation=True,
        )

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)

    def _start(self, part: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.logs / f"{part}-{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", part],
                env={
                    **os.environ,
                    **_environment(self.settings),
                    **self.environment,
                    **environment,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.running.append(process)
        return process


@pytest.fixture
def stack(settings: Settings, caller: Caller, tmp_path: Path) -> Iterator[Stack]:
    with a_stack(settings, caller.secret, tmp_path) as stack:
        yield stack


@contextmanager
def a_stack(settings: Settings, secret: str, logs: Path) -> Iterator[Stack]:
    """Ends what was started and shows what it wrote."""
    stack = Stack(settings, secret, logs)
    try:
        yield stack
    finally:
        stack.stop()
        for log in sorted(logs.glob("*.log")):
            sys.stdout.write(f"{log.name}:\n{log.read_text()[-4000:]}\n")


def wait_until(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Looks often rather than sleeping long; fails the test by name when the time is up."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def _environment(settings: Settings) -> dict[str, str]:
    values = {one.metadata["env"]: getattr(settings, one.name) for one in fields(settings)}
    return {name: str(value) for name, value in values.items() if value not in ("", {})}


def _is_ready(url: str) -> bool:
    """It reaches PostgreSQL, and hears events."""
    try:
        return httpx2.get(url, timeout=2).json() == {"postgresql": True, "redis": True}
    except httpx2.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
