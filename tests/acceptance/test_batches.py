"""Batches through real processes, of which any may be killed at any moment."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
from openai import OpenAI
from openai.types import Batch

from shared.db import Database
from tests.acceptance.conftest import Stack, wait_until
from tests.conftest import Caller
from tests.factories import an_assistant
from tests.model_server import ModelServer, after

LINES = 400


def lines_of(assistant_id: str, count: int = LINES) -> bytes:
    """Each a question of its own, with as its id what is expected to come back."""
    bodies = ((f"{n}?", {"messages": [{"role": "user", "content": f"{n}?"}]}) for n in range(count))
    lines = (
        {
            "custom_id": f"You said: {question}",
            "method": "POST",
            "url": "/v1/threads/runs",
            "body": {"assistant_id": assistant_id, "thread": thread},
        }
        for question, thread in bodies
    )
    return "\n".join(map(json.dumps, lines)).encode()


def begin(client: OpenAI, content: bytes) -> Batch:
    file = client.files.create(file=("batch.jsonl", content), purpose="batch")
    endpoint: Any = "/v1/threads/runs"
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")


def wait_for(client: OpenAI, batch: Batch, *statuses: str, seconds: float = 120) -> Batch:
    seen = [batch]

    def is_there() -> bool:
        seen.append(client.batches.retrieve(batch.id))
        return seen[-1].status in statuses

    wait_until(is_there, seconds, f"the batch to be {' or '.join(statuses)}")
    return seen[-1]


def assert_each_is_answered_once(client: OpenAI, batch: Batch, count: int = LINES) -> None:
    ended = wait_for(client, batch, "completed", "failed", "expired")
    assert (ended.status, ended.error_file_id) == ("completed", None)
    assert ended.request_counts.to_dict() == {"total": count, "completed": count, "failed": 0}  # type: ignore[union-attr]
    text = client.files.content(ended.output_file_id or "").text
    answers = [json.loads(line) for line in text.splitlines()]
    for line in answers:
        (message,) = line["response"]["body"]["messages"]
        assert message["content"][0]["text"]["value"] == line["custom_id"]
    ids = [line["custom_id"] for line in answers]
    assert ids == [f"You said: {n}?" for n in range(count)]
    outputs = [file for file in client.files.list() if file.purpose == "batch_output"]
    assert [file.id for file in outputs] == [ended.output_file_id]


def sql(database: Database, query: Any) -> Any:
    with database.autocommit() as tx:
        return tx.value(query)


@pytest.fixture
def assistant_id(database: Database, caller: Caller) -> str:
    return an_assistant(database, caller.project_id).id


def is_read_in_part(database: Database) -> bool:
    return bool(sql(database, "SELECT count(*) FROM batch_lines"))


def is_begun_in_part(database: Database) -> bool:
    return 0 < sql(database, "SELECT count(*) FROM runs") < LINES


def is_answered_in_part(database: Database) -> bool:
    return bool(sql(database, "SELECT count(*) FROM runs WHERE status = 'completed'"))


def is_being_written(database: Database) -> bool:
    return bool(sql(database, "SELECT count(*) FROM batches WHERE fence > 0"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "moment", [is_read_in_part, is_begun_in_part, is_answered_in_part, is_being_written]
)
def test_every_line_is_answered_once_though_the_api_is_killed(
    stack: Stack, database: Database, assistant_id: str, moment: Callable[[Database], bool]
) -> None:
    stack.start_api()
    stack.start_worker()
    batch = begin(stack.client(), lines_of(assistant_id))
    wait_until(lambda: moment(database), 60, "the moment to kill the API")
    stack.running[0].kill()
    stack.running[0].wait()
    stack.base_urls.clear()
    stack.start_api()
    assert_each_is_answered_once(stack.client(), batch)


@pytest.mark.timeout(180)
def test_every_line_is_answered_once_by_two_apis_and_two_workers_of_which_one_each_dies(
    stack: Stack, database: Database, assistant_id: str, model_server: ModelServer
) -> None:
    model_server.always(after(0.05))
    for _ in range(2):
        stack.start_api()
        stack.start_worker(TREADLE_CONCURRENCY="16", TREADLE_LEASE_SECONDS="2")
    batch = begin(stack.client(1), lines_of(assistant_id))
    wait_until(lambda: is_answered_in_part(database), 60, "the first answers")
    api, worker = stack.running[:2]
    for process in (api, worker):
        process.send_signal(signal.SIGKILL)
    assert_each_is_answered_once(stack.client(1), batch)


@pytest.mark.timeout(120)
def test_a_batch_that_is_cancelled_while_it_is_worked_on_ends_soon(
    stack: Stack, database: Database, assistant_id: str, model_server: ModelServer
) -> None:
    model_server.always(after(0.3))
    stack.start_api()
    stack.start_worker(TREADLE_CONCURRENCY="8")
    client = stack.client()
    batch = begin(client, lines_of(assistant_id))
    wait_until(lambda: is_answered_in_part(database), 60, "the first answers")
    client.batches.cancel(batch.id)
    ended = wait_for(client, batch, "cancelled")
    assert ended.request_counts is not None
    assert ended.request_counts.completed + ended.request_counts.failed == LINES
    told = [
        len(client.files.content(file_id).text.splitlines()) if file_id else 0
        for file_id in (ended.output_file_id, ended.error_file_id)
    ]
    assert told == [ended.request_counts.completed, ended.request_counts.failed]
    assert sql(database, "SELECT count(*) FROM runs WHERE status IN ('queued', 'in_progress')") == 0


@pytest.mark.timeout(180)
def test_two_thousand_lines_come_to_their_end(stack: Stack, assistant_id: str) -> None:
    stack.start_api()
    stack.start_worker()
    client = stack.client()
    batch = begin(client, lines_of(assistant_id, 2000))
    assert_each_is_answered_once(client, batch, 2000)
