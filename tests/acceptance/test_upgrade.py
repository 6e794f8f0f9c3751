"""The database goes forward under load while the version before it serves, then the processes.

The version before is this repository's own, as it was before its newest migration came.
"""

import io
import itertools
import signal
import subprocess
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from cli.embedded.postgres import Postgres
from shared.settings import Settings
from tests.acceptance.conftest import ROOT, Stack, ended, wait_until
from tests.acceptance.test_survival import answers, wait_for_end
from tests.conftest import with_database
from tests.model_server import ModelServer, question_of

CLIENTS = 3
NO_HISTORY = (
    "The version before this one is taken from the repository's history, and that is not here:"
    " clone the repository, and not only its newest commits, to run this test."
)


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The code from before the newest migration."""
    added = ["--first-parent", "-m", "--diff-filter=A", "--max-count=1", "--format=%H"]
    newest = _git("log", *added, "--", "shared/migrations").decode().strip()
    archive = _git("archive", f"{newest}^1")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tmp_path / "previous", filter="data")
    return tmp_path / "previous"


def _git(*arguments: str) -> bytes:
    # The checkout may belong to another account than the one that tests.
    command = ["git", "-c", "safe.directory=*", "-C", ROOT, *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.fail(NO_HISTORY)


class Load:
    """Clients that ask and check their answers until they are told to stop; an error ends one."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stopping = threading.Event()
        self._asking: list[Future[None]] = []
        self.answered: Counter[str] = Counter()  # by the API's base URL

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Raises what went wrong for any of the clients."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            self._asking = [pool.submit(self._ask, number) for number in range(CLIENTS)]
            try:
                yield
            finally:
                self._stopping.set()
        for asking in self._asking:
            asking.result()

    def go_on(self, runs: int = 10) -> None:
        """Until so many more are answered by the API that came last."""
        url = self._stack.base_urls[-1]
        enough = self.answered[url] + runs
        wait_until(lambda: self.answered[url] >= enough or self._failed(), 60, f"{runs} answers")
        for asking in self._asking:
            if asking.done():
                asking.result()

    def _failed(self) -> bool:
        return any(asking.done() for asking in self._asking)

    def _ask(self, number: int) -> None:
        with self._stack.client() as client:
            assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.").id
            thread = client.beta.threads.create().id
        for asked in itertools.count():
            if self._stopping.is_set():
                return
            url = self._stack.base_urls[-1]
            question = f"Question {asked} of {number}?"
            with self._stack.client(-1) as client:
                client.beta.threads.messages.create(thread, role="user", content=question)
                run = client.beta.threads.runs.create(thread, assistant_id=assistant)
                assert wait_for_end(client, run).status == "completed"
                assert answers(client, run) == [f"You said: {question}"]
            self.answered[url] += 1


class TestUpgrade:
    @pytest.fixture
    def database_url(self, postgres: Postgres) -> Iterator[str]:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE upgraded")
            yield with_database(postgres.url, "upgraded")
            connection.execute("DROP DATABASE upgraded WITH (FORCE)")

    @pytest.fixture
    def stack(self, settings: Settings, previous: Path, tmp_path: Path) -> Iterator[Stack]:
        """Of the version before, with its tables."""
        with ended(Stack(settings, "", tmp_path, code=previous)) as stack:
            stack.run("migrate")
            stack.secret = stack.run("keys", "create", "upgrade").strip()
            yield stack

    @pytest.mark.timeout(300)
    def test_no_request_fails_and_no_run_is_lost_from_the_migration_to_the_last_new_process(
        self, stack: Stack, model_server: ModelServer
    ) -> None:
        stack.start_api()
        worker = stack.start_worker()
        api = stack.running[0]
        load = Load(stack)
        with load.going_on():
            load.go_on()
            stack.code = ROOT
            applied = stack.run("migrate").splitlines()[:-1]
            assert applied
            load.go_on()
            stack.start_worker()
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(20) == 0
            load.go_on()
            stack.start_api()
            load.go_on()
            api.send_signal(signal.SIGTERM)
            assert api.wait(20) == 0
            load.go_on()
        asked = Counter(map(question_of, model_server.requests))
        assert asked.most_common(1)[0][1] == 1
        assert asked.total() == load.answered.total()
