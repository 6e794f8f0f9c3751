"""A dump of a busy database, restored elsewhere: every run in it goes on to its end."""

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import redis
from openai import OpenAI
from openai.types.beta.threads import Run

from cli.embedded.postgres import Postgres, programs
from tests.acceptance.conftest import Stack, ended
from tests.acceptance.test_survival import answers, ask, wait_for_end
from tests.conftest import with_database
from tests.model_server import ModelServer, say, stall

TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
CALL = {"id": "call_1", "function": {"name": "look", "arguments": "{}"}}


class Busy:
    """A run in every status that a dump may find, on a stack whose only worker has one place."""

    def __init__(self, stack: Stack, model_server: ModelServer) -> None:
        model_server.when("Look?", say(None, tool_calls=[CALL]))
        model_server.when("Held?", stall())
        stack.start_api()
        self.worker = stack.start_worker(TREADLE_CONCURRENCY="1")
        with stack.client() as client:
            self.completed = wait_for_end(client, ask(client, "Done?"))
            self.waiting = wait_for_end(client, ask(client, "Look?", tools=[TOOL]))
            self.held = ask(client, "Held?")
            model_server.wait_until_asked(1, "Held?")
            self.queued = ask(client, "Queued?")
            self.in_line = client.beta.threads.runs.create(
                self.held.thread_id,
                assistant_id=self.held.assistant_id,
                additional_messages=[{"role": "user", "content": "In line?"}],
                extra_headers={"Treadle-Busy-Thread": "queue"},
            )

    @property
    def runs(self) -> list[Run]:
        return [self.completed, self.waiting, self.held, self.queued, self.in_line]


@pytest.fixture
def restored_url(postgres: Postgres) -> Iterator[str]:
    """An empty database."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
        yield with_database(postgres.url, "restored")
        connection.execute("DROP DATABASE restored WITH (FORCE)")


@pytest.mark.timeout(180)
def test_all_runs_of_a_restored_dump_go_on_to_their_end(
    stack: Stack, restored_url: str, redis_url: str, model_server: ModelServer, tmp_path: Path
) -> None:
    busy = Busy(stack, model_server)
    before = [(run.id, run.status) for run in now(stack.client(), busy.runs)]
    assert [status for _, status in before] == [
        *("completed", "requires_action", "in_progress", "queued", "queued"),
    ]
    dump = tmp_path / "treadle.dump"
    run_program("pg_dump", stack.settings.database_url, "--format=custom", f"--file={dump}")
    busy.worker.send_signal(signal.SIGKILL)
    stack.stop()
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushall()
    run_program("pg_restore", restored_url, "--exit-on-error", str(dump))

    model_server.when("Held?", say("Held on."))
    model_server.when("Look?", say("Seen."))
    logs = tmp_path / "restored"
    logs.mkdir()
    settings = replace(stack.settings, database_url=restored_url)
    with ended(Stack(settings, stack.secret, logs)) as again:
        again.start_api()
        client = again.client()
        assert [(run.id, run.status) for run in now(client, busy.runs)] == before
        again.start_worker()
        client.beta.threads.runs.submit_tool_outputs(
            busy.waiting.id,
            thread_id=busy.waiting.thread_id,
            tool_outputs=[{"tool_call_id": "call_1", "output": "a bird"}],
        )
        for run in busy.runs:
            assert wait_for_end(client, run).status == "completed"
        assert [answers(client, run) for run in busy.runs] == [
            *(["You said: Done?"], ["Seen."], ["Held on."]),
            *(["You said: Queued?"], ["You said: In line?"]),
        ]
        assert model_server.asked("Done?") == 1


def now(client: OpenAI, runs: list[Run]) -> list[Run]:
    return [client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id) for run in runs]


def run_program(name: str, url: str, *arguments: str) -> None:
    subprocess.run([programs() / name, f"--dbname={url}", *arguments], check=True)
