"""What becomes of a run, by what the model server does."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from api import operations
from shared.db import Database
from shared.run_state import RunStatus
from shared.settings import Settings
from shared.store import history, messages, run_steps, runs, threads
from shared.store.messages import Message
from shared.store.pages import PageRequest
from shared.store.run_steps import RunStep
from shared.store.runs import Run
from tests.conftest import Caller, a_worker
from tests.factories import a_message, a_run, an_assistant
from tests.model_server import ModelServer, Reply, drip, fail, hang_up, say, send, stall
from worker.bell import Bell
from worker.lease import Lease


def now(database: Database, run: Run) -> Run:
    with database.autocommit() as tx:
        return runs.get(tx, run.project_id, run.thread_id, run.id)


def answers_of(database: Database, run: Run) -> list[Message]:
    with database.autocommit() as tx:
        page = messages.list_page(tx, run.project_id, run.thread_id, PageRequest(), run.id)
    return page.data


def steps_of(database: Database, run: Run) -> list[RunStep]:
    with database.autocommit() as tx:
        return run_steps.list_page(tx, run.project_id, run.thread_id, run.id, PageRequest()).data


def be_due(database: Database) -> None:
    """The pauses before the next try are over."""
    with database.autocommit() as tx:
        tx.execute("UPDATE runs SET run_after = now()")
        tx.execute("DELETE FROM model_pauses")


def test_an_answer_ends_the_run_with_its_message_step_and_usage(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    run = a_run(database, caller.project_id)
    details = {"prompt_tokens_details": {"cached_tokens": 3}}
    model_server.script(say("42", usage={"prompt_tokens": 5, "completion_tokens": 2, **details}))
    worker.answer()
    ended = now(database, run)
    assert ended.status is RunStatus.COMPLETED
    assert ended.started_at is not None
    assert ended.worker_id is None
    assert ended.usage == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_token_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    (answer,) = answers_of(database, run)
    assert answer.content == [{"type": "text", "text": {"value": "42", "annotations": []}}]
    assert (answer.role, answer.status, answer.assistant_id) == (
        "assistant",
        "completed",
        run.assistant_id,
    )
    (step,) = steps_of(database, run)
    assert step.step_details["message_creation"] == {"message_id": answer.id}
    assert (step.status, step.usage) == ("completed", ended.usage)


def test_the_model_is_told_what_the_run_says(
    settings: Settings, database: Database, lease: Lease, caller: Caller, model_server: ModelServer
) -> None:
    aliased = replace(settings, models={"gpt-4o": "qwen3", "*": "smollm2"})
    a_run(
        database,
        caller.project_id,
        temperature=0.0,
        top_p=0.5,
        max_completion_tokens=300,
        response_format={"type": "json_object"},
        reasoning_effort="low",
        additional_messages=[a_message("Because.", "assistant"), a_message("Really?")],
    )
    a_run(database, caller.project_id, model="o3")
    with a_worker(aliased, database, lease) as worker:
        worker.answer()
    first, second = model_server.requests
    assert first == {
        "model": "qwen3",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": "Because."},
            {"role": "user", "content": "Really?"},
        ],
        "temperature": 0.0,
        "top_p": 0.5,
        "max_completion_tokens": 300,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
    }
    assert second["model"] == "smollm2"
    assert second.keys() == {"model", "messages", "temperature", "top_p"}


def test_last_messages_tells_the_model_only_the_newest(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    a_run(
        database,
        caller.project_id,
        additional_messages=[a_message("Two?"), a_message("Three?")],
        truncation_strategy={"type": "last_messages", "last_messages": 2},
    )
    worker.answer()
    told = [message["content"] for message in model_server.requests[0]["messages"]]
    assert told == ["Be brief.", "Two?", "Three?"]


def test_a_token_limit_leaves_the_run_incomplete_with_its_partial_answer(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    run = a_run(database, caller.project_id)
    model_server.script(say("4", finish="length"))
    worker.answer()
    ended = now(database, run)
    assert ended.status is RunStatus.INCOMPLETE
    assert ended.incomplete_details == {"reason": "max_completion_tokens"}
    (answer,) = answers_of(database, run)
    assert answer.status == "incomplete"
    assert answer.incomplete_details == {"reason": "max_tokens"}
    (step,) = steps_of(database, run)
    assert step.status == "completed"


def test_a_refusal_is_an_answer(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    run = a_run(database, caller.project_id)
    model_server.script(say(None, refusal="I can't."))
    worker.answer()
    assert now(database, run).status is RunStatus.COMPLETED
    assert answers_of(database, run)[0].content == [{"type": "refusal", "refusal": "I can't."}]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_prompt"),
        (401, "server_error"),
        (404, "server_error"),
        (422, "invalid_prompt"),
    ],
)
def test_what_the_model_server_refuses_fails_the_run_with_its_reason(
    worker: Bell,
    database: Database,
    caller: Caller,
    model_server: ModelServer,
    status: int,
    code: str,
) -> None:
    run = a_run(database, caller.project_id)
    model_server.script(fail(status, "no such model"))
    worker.answer()
    ended = now(database, run)
    assert ended.status is RunStatus.FAILED
    assert ended.last_error == {
        "code": code,
        "message": f"The model server answered {status}: no such model",
    }
    assert ended.usage is not None
    assert ended.usage["total_tokens"] == 0
    assert answers_of(database, run) == []


BROKEN: dict[str, Reply] = {
    "500": fail(500),
    "503": fail(503),
    "429": fail(429),
    "hang up": hang_up(),
    "html": send(b"<html>welcome</html>", "text/html"),
    "not an object": send(b"[1, 2]"),
    "no choices": send(b'{"choices": []}'),
    "null choices": send(b'{"choices": null}'),
    "an error with 200": send(b'{"error": {"message": "overloaded"}}'),
    "null content": say(None),
    "number content": send(b'{"choices": [{"message": {"content": 5}}]}'),
    "tool calls": say(None, tool_calls=[{"id": "call_1", "type": "function"}]),
    "truncated JSON": send(b'{"choices": [{"message": '),
    "lone surrogate": send(b'{"choices": [{"message": {"content": "\\ud800"}}]}'),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_error_that_may_pass_is_tried_again_without_holding_the_worker(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer, how: str
) -> None:
    run = a_run(database, caller.project_id)
    model_server.script(BROKEN[how], say("42"))
    worker.answer()
    waiting = now(database, run)
    assert (waiting.status, waiting.worker_id) == (RunStatus.IN_PROGRESS, None)
    assert (waiting.model_failures, waiting.lapses) == (1, 0)
    be_due(database)
    worker.answer()
    assert now(database, run).status is RunStatus.COMPLETED
    assert len(answers_of(database, run)) == 1


def test_an_error_that_does_not_pass_fails_the_run_in_the_end(
    settings: Settings, database: Database, lease: Lease, caller: Caller, model_server: ModelServer
) -> None:
    impatient = replace(settings, model_retries=2)
    run = a_run(database, caller.project_id)
    model_server.when("Why?", fail(503, "warming up"))
    with a_worker(impatient, database, lease) as worker:
        for _ in range(5):
            worker.answer()
            be_due(database)
    ended = now(database, run)
    assert ended.status is RunStatus.FAILED
    assert ended.last_error == {
        "code": "server_error",
        "message": "The model server answered 503: warming up",
    }
    assert model_server.asked() == 3


def test_a_wait_that_outlasts_the_run_fails_it_at_once(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    run = a_run(database, caller.project_id)
    model_server.script(fail(429, "slow down", {"Retry-After": "3600"}))
    worker.answer()
    ended = now(database, run)
    assert ended.last_error is not None
    assert ended.last_error["code"] == "rate_limit_exceeded"


def test_a_rate_limit_is_waited_out_for_as_long_as_it_says(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    run = a_run(database, caller.project_id)
    model_server.script(fail(429, "slow down", {"Retry-After": "100"}))
    worker.answer()
    with database.autocommit() as tx:
        wait = tx.value("SELECT extract(epoch FROM run_after - now())::float8 FROM runs")
    assert 90 < wait <= 100
    assert now(database, run).status is RunStatus.IN_PROGRESS


def test_a_server_that_cannot_be_reached_is_an_error_that_may_pass(
    settings: Settings, database: Database, lease: Lease, caller: Caller
) -> None:
    elsewhere = replace(settings, model_base_url="http://127.0.0.1:9/v1", model_retries=0)
    run = a_run(database, caller.project_id)
    with a_worker(elsewhere, database, lease) as worker:
        worker.answer()
    ended = now(database, run)
    assert ended.last_error is not None
    assert ended.last_error["message"].startswith("The model server cannot be reached")


@pytest.mark.parametrize("reply", [drip(), stall()], ids=["dripping", "silent"])
def test_a_model_that_never_ends_is_left_when_the_runs_time_is_over(
    worker: Bell,
    database: Database,
    caller: Caller,
    model_server: ModelServer,
    reply: Reply,
) -> None:
    run = a_run(database, caller.project_id, life_seconds=1)
    model_server.script(reply)
    worker.answer()
    assert now(database, run).status in (RunStatus.FAILED, RunStatus.EXPIRED)


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": -1}, {"prompt_tokens": 1.5}, [], "many"])
def test_a_strange_usage_is_counted_as_none(
    worker: Bell,
    database: Database,
    caller: Caller,
    model_server: ModelServer,
    usage: Any,
) -> None:
    run = a_run(database, caller.project_id)
    model_server.script(say("42", usage=usage))
    worker.answer()
    ended = now(database, run)
    assert ended.usage is not None
    assert ended.usage["total_tokens"] == 0


def test_an_endless_body_is_cut(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    run = a_run(database, caller.project_id)
    model_server.script(send(b" " * (17 * 1024 * 1024)))
    worker.answer()
    assert now(database, run).model_failures == 1


def test_an_answer_to_a_thread_deleted_meanwhile_is_written_nowhere(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    run = a_run(database, caller.project_id)
    gate = threading.Event()
    model_server.script(stall(gate))
    working = threading.Thread(target=worker.answer)
    working.start()
    model_server.wait_until_asked()
    with database.transaction() as tx:
        threads.delete(tx, caller.project_id, run.thread_id)
    gate.set()
    working.join(10)
    assert not working.is_alive()
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM messages") == 0
        assert tx.value("SELECT count(*) FROM runs") == 0


def test_an_answer_of_an_assistant_deleted_meanwhile_is_kept(
    worker: Bell, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    run = a_run(database, caller.project_id, assistant_id=assistant.id)
    with database.transaction() as tx:
        tx.execute("DELETE FROM assistants")
    worker.answer()
    assert now(database, run).status is RunStatus.COMPLETED


def test_a_file_that_the_model_cannot_be_shown_fails_the_run_with_a_reason(
    worker: Bell, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    with database.transaction() as tx:
        tx.execute("""UPDATE messages SET content = '[{"type": "image_file", "image_file": {}}]'""")
    worker.answer()
    ended = now(database, run)
    assert ended.last_error is not None
    assert "image_file" in ended.last_error["message"]


def test_after_the_end_the_thread_takes_messages_in_order(
    worker: Bell, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    worker.answer()
    with database.transaction() as tx:
        operations.add_message(tx, caller.project_id, run.thread_id, a_message("And?"))
    with database.autocommit() as tx:
        said = history.read(tx, run.thread_id)
    assert [one.content[0]["text"]["value"] for one in said] == ["Why?", "You said: Why?", "And?"]


def test_an_answer_that_cannot_be_stored_fails_the_run_and_is_not_asked_for_for_ever(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    run = a_run(database, caller.project_id)
    with database.autocommit() as tx:
        tx.execute("ALTER TABLE messages ADD CHECK (content::text NOT LIKE '%unspeakable%')")
    model_server.script(say("It is unspeakable."))
    worker.answer()
    ended = now(database, run)
    assert ended.status is RunStatus.FAILED
    assert ended.last_error == {"code": "server_error", "message": "Sorry, something went wrong."}
    assert model_server.asked() == 1
