"""PostgreSQL goes and comes back while clients ask."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cli.embedded.postgres import Postgres
from shared.schema import migrate
from tests.acceptance.conftest import Stack, wait_until
from tests.acceptance.test_survival import answers, ask, wait_for_end
from tests.model_server import ModelServer, stall


class TestDatabaseAway:
    @pytest.fixture
    def database_url(self, tmp_path: Path) -> Iterator[str]:
        # Not the fast one: a crash must lose no commit.
        with Postgres(tmp_path / "own-postgres") as self.postgres:
            migrate(self.postgres.url)
            yield self.postgres.url

    def crash(self) -> None:
        self.postgres.process.kill()

    def test_requests_are_told_503_quickly_and_when_to_come_back(self, stack: Stack) -> None:
        stack.start_api()
        http = stack.http(timeout=10)
        assert http.get("assistants").status_code == 200
        self.crash()
        began = time.monotonic()
        for answer in (http.get("assistants"), http.post("threads", json={})):
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            assert answer.json()["error"]["type"] == "server_error"
        assert time.monotonic() - began < 8
        self.postgres.start()
        wait_until(lambda: http.get("assistants").status_code == 200, 10, "an answer")

    def test_a_process_of_the_api_that_begins_meanwhile_serves_as_the_others_do(
        self, stack: Stack
    ) -> None:
        stack.start_api()
        wait_until(lambda: len(stack.processes()) == 2, 20, "both processes")
        first, http = stack.processes(), stack.http(timeout=10)
        self.crash()
        for process in first:
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: _status(http) == 503, 20, "an answer of those that came after them")
        self.postgres.start()
        wait_until(lambda: _status(http) == 200, 20, "those to find PostgreSQL")
        assert stack.running[0].poll() is None
        assert not {*first} & {*stack.processes()}

    def test_a_run_in_the_middle_of_its_model_call_completes_after_a_crash_of_postgresql(
        self, stack: Stack, model_server: ModelServer
    ) -> None:
        stack.start_api()
        worker = stack.start_worker()
        client = stack.client()
        gate = threading.Event()
        model_server.script(stall(gate))
        run = ask(client, "Why?")
        model_server.wait_until_asked(1)
        self.crash()
        gate.set()
        self.postgres.start()
        wait_until(lambda: _readable(stack), 10, "the API to find PostgreSQL again")
        assert wait_for_end(client, run).status == "completed"
        assert answers(client, run) == ["You said: Why?"]
        assert model_server.asked() == 1
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(15) == 0


def _status(http: httpx2.Client) -> int | None:
    """None where nothing answers."""
    try:
        return http.get("assistants").status_code
    except httpx2.TransportError:
        return None


def _readable(stack: Stack) -> bool:
    return httpx2.get(stack.base_urls[0].replace("/v1", "/readyz"), timeout=5).status_code == 200
