"""What survives: workers are killed, frozen and stopped, Redis forgets or is away."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from openai import OpenAI
from openai.types.beta.threads import Run

from cli.embedded.valkey import Valkey
from tests.acceptance.conftest import Stack, wait_until
from tests.model_server import ModelServer, say, stall


def ask(client: OpenAI, question: str, **options: Any) -> Run:
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")
    return client.beta.threads.create_and_run(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": question}]},
        **options,
    )


def answers(client: OpenAI, run: Run) -> list[str]:
    listed = client.beta.threads.messages.list(run.thread_id, run_id=run.id)
    return [message.content[0].text.value for message in listed.data]  # type: ignore[union-attr]


def wait_for_end(client: OpenAI, run: Run) -> Run:
    return client.beta.threads.runs.poll(run.id, thread_id=run.thread_id)


def end(process: subprocess.Popen[bytes], number: int) -> int:
    process.send_signal(number)
    return process.wait(15)


def test_a_worker_killed_in_the_middle_of_a_model_call_is_replaced_and_the_answer_is_one(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.start_api()
    killed = stack.start_worker()
    client = stack.client()
    model_server.script(stall(), say("42"))
    run = ask(client, "Why?")
    model_server.wait_until_asked(1)
    stack.start_worker()
    end(killed, signal.SIGKILL)
    assert wait_for_end(client, run).status == "completed"
    assert answers(client, run) == ["42"]
    assert model_server.asked() == 2
    assert len(client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data) == 1


def test_a_run_that_kills_its_worker_each_time_fails_after_three(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.start_api()
    client = stack.client()
    model_server.when("Poison?", stall())
    run = ask(client, "Poison?")
    for deaths in range(1, 4):
        worker = stack.start_worker()
        model_server.wait_until_asked(deaths, "Poison?")
        end(worker, signal.SIGKILL)
    stack.start_worker()
    failed = wait_for_end(client, run)
    assert failed.status == "failed"
    assert failed.last_error is not None
    assert failed.last_error.code == "server_error"
    assert model_server.asked("Poison?") == 3


def test_a_frozen_worker_that_thaws_after_its_lease_writes_nothing(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.start_api()
    thaw = threading.Event()
    frozen = stack.start_worker(TREADLE_LEASE_SECONDS="3")
    client = stack.client()
    model_server.script(stall(thaw, say("late")), say("42"))
    run = ask(client, "Why?")
    model_server.wait_until_asked(1)
    frozen.send_signal(signal.SIGSTOP)
    stack.start_worker(TREADLE_LEASE_SECONDS="3")
    assert wait_for_end(client, run).status == "completed"
    thaw.set()
    frozen.send_signal(signal.SIGCONT)
    log = stack.logs / "worker-1.log"
    wait_until(lambda: "lease lost" in log.read_text(), 15, "the thawed worker to lose its lease")
    assert answers(client, run) == ["42"]


def test_a_stopped_worker_hands_its_run_over_at_once(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.start_api()
    stopped = stack.start_worker(TREADLE_SHUTDOWN_SECONDS="0.2")
    client = stack.client()
    model_server.script(stall(), say("42"))
    run = ask(client, "Why?")
    model_server.wait_until_asked(1)
    stack.start_worker()
    assert end(stopped, signal.SIGTERM) == 0
    assert wait_for_end(client, run).status == "completed"
    assert answers(client, run) == ["42"]


def test_a_stopped_worker_ends_the_run_it_can_end_in_time(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.start_api()
    worker = stack.start_worker(TREADLE_SHUTDOWN_SECONDS="20")
    client = stack.client()
    gate = threading.Event()
    model_server.script(stall(gate))
    run = ask(client, "Why?")
    model_server.wait_until_asked(1)
    worker.send_signal(signal.SIGTERM)
    log = stack.logs / "worker-1.log"
    wait_until(lambda: "shutdown" in log.read_text(), 10, "the worker to begin its end")
    gate.set()
    assert worker.wait(15) == 0
    assert client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id).status == "completed"
    assert model_server.asked() == 1


def test_100_queued_runs_complete_though_redis_forgets_every_bell(
    stack: Stack, redis_url: str, model_server: ModelServer
) -> None:
    stack.start_api()
    client = stack.client()
    runs = [ask(client, f"Question {number}?") for number in range(100)]
    with redis.Redis.from_url(redis_url) as connection:
        # Those of one moment share a bell, for eight runs at most.
        wait_until(lambda: connection.llen("treadle") >= 13, 10, "the bells of 100 runs")
        connection.flushall()
    stack.start_worker()
    for number, run in enumerate(runs):
        assert wait_for_end(client, run).status == "completed"
        assert answers(client, run) == [f"You said: Question {number}?"]
    assert model_server.asked() == 100


class TestRedisAway:
    @pytest.fixture
    def redis_url(self, tmp_path: Path) -> Iterator[str]:
        with Valkey(tmp_path / "own-valkey") as self.valkey:
            yield self.valkey.url

    def test_a_run_is_accepted_while_redis_is_down_and_answered_when_it_is_back(
        self, stack: Stack
    ) -> None:
        stack.start_api()
        client = stack.client()
        self.valkey.stop()
        run = ask(client, "Why?")
        assert run.status == "queued"
        stack.start_worker()
        self.valkey.start()
        assert wait_for_end(client, run).status == "completed"
        assert answers(client, run) == ["You said: Why?"]
