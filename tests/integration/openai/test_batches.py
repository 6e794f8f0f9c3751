"""/batches: from a file of requests to a file of answers, through every status of the wire."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import httpx2
import pytest
from flask import Flask
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types import Batch

from api.clearing import Clearing
from api.openai.batching import steps as batching
from api.openai.batching.reading import MOST_ERRORS
from api.openai.batching.steps import Steps
from api.openai.schemas.batches import CHAT_COMPLETIONS, THREADS_RUNS
from shared.batch_state import ENDED, NEXT, BatchStatus, before
from shared.blobs import open_blobs
from shared.db import Database
from shared.errors import LeaseLost
from shared.settings import Settings
from shared.store import batch_transitions, batches
from tests.conftest import Caller, an_app, client_as
from tests.factories import a_batch, a_file, an_assistant
from tests.integration.wire import error_of
from tests.model_server import ModelServer, fail, say
from tests.places import in_both, kept
from worker.bell import Bell

TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
CALL = {"id": "call_1", "function": {"name": "look", "arguments": "{}"}}

Ask = Callable[..., Batch]


@pytest.fixture
def steps(app: Flask) -> Steps:
    return Steps(app.extensions["treadle"])


@pytest.fixture
def assistant_id(database: Database, caller: Caller) -> str:
    return an_assistant(database, caller.project_id).id


def a_line(custom_id: Any, body: Any, url: str = CHAT_COMPLETIONS, **more: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body, **more}


def a_question(text: str, **options: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **options}


def a_run_of(assistant_id: str, text: str, **options: Any) -> dict[str, Any]:
    thread = {"messages": [{"role": "user", "content": text}]}
    return {"assistant_id": assistant_id, "thread": thread, **options}


@pytest.fixture
def ask(client: OpenAI) -> Ask:
    """A batch of these lines."""

    def ask(lines: Iterable[Any], endpoint: Any = CHAT_COMPLETIONS, **options: Any) -> Batch:
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        file = client.files.create(file=("batch.jsonl", text.encode()), purpose="batch")
        return client.batches.create(
            input_file_id=file.id, endpoint=endpoint, completion_window="24h", **options
        )

    return ask


def hurry(database: Database) -> None:
    """Whatever rests has rested."""
    with database.autocommit() as tx:
        tx.execute("UPDATE batches SET step_at = now() WHERE NOT is_settled")


def work_off(database: Database, steps: Steps, worker: Bell | None = None) -> None:
    for _ in range(1000):
        hurry(database)
        if not steps.advance():
            return
        if worker is not None:
            worker.answer()
    raise AssertionError("the batches do not come to their end")


def output(client: OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


@in_both
def test_chat_completions_are_answered_in_the_order_of_the_lines(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, worker: Bell
) -> None:
    batch = ask([a_line(f"q{n}", a_question(f"{n}?")) for n in range(3)], metadata={"a": "b"})
    assert batch.to_dict() == {
        "id": batch.id,
        "object": "batch",
        "endpoint": CHAT_COMPLETIONS,
        "model": None,
        "errors": None,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": batch.created_at,
        "expires_at": batch.created_at + 86400,
        **dict.fromkeys(("in_progress_at", "finalizing_at", "completed_at", "failed_at")),
        **dict.fromkeys(("expired_at", "cancelling_at", "cancelled_at")),
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
        "metadata": {"a": "b"},
    }
    steps.advance()
    begun = client.batches.retrieve(batch.id)
    assert (begun.status, begun.model) == ("in_progress", "gpt-4o")
    assert begun.request_counts is not None
    assert begun.request_counts.total == 3
    work_off(database, steps, worker)
    ended = client.batches.retrieve(batch.id)
    assert (ended.status, ended.error_file_id) == ("completed", None)
    assert ended.request_counts.to_dict() == {"total": 3, "completed": 3, "failed": 0}  # type: ignore[union-attr]
    assert ended.usage is not None
    assert ended.usage.total_tokens == ended.usage.input_tokens + ended.usage.output_tokens > 0
    assert ended.in_progress_at
    assert ended.finalizing_at
    assert ended.completed_at
    lines = output(client, ended.output_file_id)
    assert [line["custom_id"] for line in lines] == ["q0", "q1", "q2"]
    for number, line in enumerate(lines):
        assert line.keys() == {"id", "custom_id", "response", "error"}
        assert line["error"] is None
        assert line["response"]["status_code"] == 200
        completion = line["response"]["body"]
        assert completion["object"] == "chat.completion"
        (choice,) = completion["choices"]
        assert choice["message"]["content"] == f"You said: {number}?"
        assert choice["finish_reason"] == "stop"
    file = client.files.retrieve(ended.output_file_id or "")
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert file.expires_at is None


def test_runs_are_answered_with_the_run_and_its_messages(
    client: OpenAI,
    database: Database,
    ask: Ask,
    steps: Steps,
    worker: Bell,
    assistant_id: str,
) -> None:
    body = a_run_of(assistant_id, "Why?", metadata={"n": "1"})
    batch = ask([a_line("q", body, THREADS_RUNS)], THREADS_RUNS)
    work_off(database, steps, worker)
    (line,) = output(client, client.batches.retrieve(batch.id).output_file_id)
    run = line["response"]["body"]
    assert (run["object"], run["status"], run["metadata"]) == (
        "thread.run",
        "completed",
        {"n": "1"},
    )
    (message,) = run.pop("messages")
    assert message["content"][0]["text"]["value"] == "You said: Why?"
    assert client.beta.threads.runs.retrieve(run["id"], thread_id=run["thread_id"]).to_dict() == run
    assert client.beta.threads.messages.list(run["thread_id"]).data[0].to_dict() == message
    with database.autocommit() as tx:
        assert tx.values("SELECT lane FROM runs") == ["batch"]


def test_what_is_asked_of_a_completion_reaches_the_model(
    database: Database, ask: Ask, steps: Steps, worker: Bell, model_server: ModelServer
) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": [{"type": "text", "text": "Three?"}]},
    ]
    options = {
        "temperature": 0.5,
        "top_p": 0.25,
        "max_tokens": 5,
        "tools": [TOOL],
        "tool_choice": "none",
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
    }
    ask([a_line("q", {"model": "m", "messages": messages, **options})])
    work_off(database, steps, worker)
    (asked,) = model_server.requests
    assert [(one["role"], one["content"]) for one in asked["messages"]] == [
        ("system", "Be brief.\nBe kind."),
        ("user", "One?"),
        ("assistant", "Two."),
        ("user", "Three?"),
    ]
    assert (asked["model"], asked["temperature"], asked["top_p"]) == ("m", 0.5, 0.25)
    assert (asked["tool_choice"], asked["reasoning_effort"]) == ("none", "low")
    assert asked["response_format"] == {"type": "json_object"}


def test_calls_a_length_and_a_failure_are_told_as_of_a_completion(
    client: OpenAI,
    database: Database,
    ask: Ask,
    steps: Steps,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    model_server.when("Call?", say(None, tool_calls=[CALL]))
    model_server.when("Long?", say("So", finish="length"))
    model_server.when("Bad?", fail(400))
    batch = ask(
        [
            a_line("call", a_question("Call?", tools=[TOOL])),
            a_line("long", a_question("Long?")),
            a_line("bad", a_question("Bad?")),
        ]
    )
    work_off(database, steps, worker)
    ended = client.batches.retrieve(batch.id)
    assert ended.request_counts.to_dict() == {"total": 3, "completed": 2, "failed": 1}  # type: ignore[union-attr]
    call, long = (
        one["response"]["body"]["choices"][0] for one in output(client, ended.output_file_id)
    )
    assert call["finish_reason"] == "tool_calls"
    assert call["message"]["tool_calls"] == [{"type": "function", **CALL}]
    assert call["message"]["content"] is None
    assert (long["finish_reason"], long["message"]["content"]) == ("length", "So")
    (bad,) = output(client, ended.error_file_id)
    assert bad["custom_id"] == "bad"
    assert bad["response"]["status_code"] >= 400
    assert bad["response"]["body"]["error"].keys() == {"message", "type", "param", "code"}


def test_nothing_is_left_of_completions_but_their_answers(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, worker: Bell
) -> None:
    ask([a_line("q", a_question("Why?"))])
    work_off(database, steps, worker)
    with database.autocommit() as tx:
        for table in ("threads", "runs", "messages", "batch_lines"):
            assert tx.value(f"SELECT count(*) FROM {table}") == 0  # noqa: S608
        assert tx.values("SELECT is_settled FROM batches") == [True]


REFUSED = [
    ({"messages": [{"role": "user", "content": "x"}]}, 400, "model", "missing_required_parameter"),
    ({"model": "m"}, 400, "messages", "missing_required_parameter"),
    ({"model": "m", "messages": []}, 400, "messages", "empty_array"),
    (a_question("x", seed=1), 400, "seed", "unknown_parameter"),
    (a_question("x", n=2), 400, "n", "integer_above_max_value"),
    (a_question("x", stream=True), 400, "stream", "invalid_value"),
    (a_question("x", logprobs=True), 400, "logprobs", "unknown_parameter"),
    ({"model": "m", "messages": [{"role": "tool", "content": "x"}]}, 400, "messages[0].role", "invalid_value"),
    ({"model": "m", "messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]}, 400, "messages[1].role", "invalid_value"),
    ({"model": "m", "messages": [{"role": "user", "content": "x\0"}]}, 400, "messages[0].content", "invalid_value"),
]  # fmt: skip


def test_a_request_that_cannot_be_taken_is_answered_with_its_refusal(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, worker: Bell
) -> None:
    good = a_line("good", a_question("Why?"))
    batch = ask([*(a_line(f"{n}", body) for n, (body, *_) in enumerate(REFUSED)), good])
    work_off(database, steps, worker)
    ended = client.batches.retrieve(batch.id)
    assert ended.status == "completed"
    assert ended.request_counts is not None
    assert (ended.request_counts.completed, ended.request_counts.failed) == (1, len(REFUSED))
    lines = output(client, ended.error_file_id)
    for line, (_, status, param, code) in zip(lines, REFUSED, strict=True):
        error = line["response"]["body"]["error"]
        assert (line["response"]["status_code"], error["param"], error["code"]) == (
            status,
            param,
            code,
        ), line
    assert [line["custom_id"] for line in output(client, ended.output_file_id)] == ["good"]


def test_a_run_that_cannot_be_made_is_answered_as_over_http(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, worker: Bell, assistant_id: str
) -> None:
    bodies = [a_run_of("asst_none", "x"), a_run_of(assistant_id, "x", stream=True), {}]
    batch = ask([a_line(f"{n}", one, THREADS_RUNS) for n, one in enumerate(bodies)], THREADS_RUNS)
    work_off(database, steps, worker)
    ended = client.batches.retrieve(batch.id)
    assert (ended.status, ended.output_file_id) == ("completed", None)
    answers = [line["response"] for line in output(client, ended.error_file_id)]
    assert [one["status_code"] for one in answers] == [404, 400, 400]
    assert answers[0]["body"]["error"]["message"] == "No assistant found with id 'asst_none'."
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM threads") == 0


GOOD = a_line("good", a_question("x"))
WRONG_LINES: list[tuple[Any, str, str | None]] = [
    ("{", "invalid_json_line", None),
    ("[]", "invalid_json_line", None),
    ('{"custom_id": NaN}', "invalid_json_line", None),
    ({"method": "POST", "url": "x", "body": {}}, "missing_required_parameter", "custom_id"),
    ({"custom_id": "x", "url": "x", "body": {}}, "missing_required_parameter", "method"),
    ({"custom_id": "x", "method": "POST", "body": {}}, "missing_required_parameter", "url"),
    ({"custom_id": "x", "method": "POST", "url": "x"}, "missing_required_parameter", "body"),
    (a_line("", {}), "invalid_custom_id", "custom_id"),
    (a_line(5, {}), "invalid_custom_id", "custom_id"),
    (a_line("x\0", {}), "invalid_custom_id", "custom_id"),
    (a_line("x" * 513, {}), "invalid_custom_id", "custom_id"),
    ({**GOOD, "custom_id": "x", "method": "GET"}, "invalid_method", "method"),
    (a_line("x", {}, THREADS_RUNS), "invalid_url", "url"),
    (a_line("x", []), "invalid_body", "body"),
    (a_line("good", {}), "duplicate_custom_id", "custom_id"),
]


def test_lines_that_are_none_fail_the_batch_before_anything_is_asked(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, model_server: ModelServer
) -> None:
    batch = ask([GOOD, *(line for line, _, _ in WRONG_LINES)])
    work_off(database, steps)
    failed = client.batches.retrieve(batch.id)
    assert failed.status == "failed"
    assert failed.failed_at
    assert failed.errors is not None
    assert failed.errors.data is not None
    found = [(one.line, one.code, one.param) for one in failed.errors.data]
    assert sorted(found) == [
        (number + 2, code, param) for number, (_, code, param) in enumerate(WRONG_LINES)
    ]
    assert all(one.message for one in failed.errors.data)
    assert (failed.output_file_id, failed.error_file_id) == (None, None)
    assert model_server.requests == []


@in_both
@pytest.mark.parametrize("text", ["", "\n\n  \n"])
def test_a_file_without_a_request_fails(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, text: str
) -> None:
    batch = ask([text])
    work_off(database, steps)
    failed = client.batches.retrieve(batch.id)
    assert failed.errors is not None
    assert [one.code for one in failed.errors.data or ()] == ["empty_file"]


def test_no_more_errors_are_told_than_one_can_read(
    client: OpenAI, database: Database, ask: Ask, steps: Steps
) -> None:
    batch = ask(["{"] * 3000)
    work_off(database, steps)
    failed = client.batches.retrieve(batch.id)
    assert failed.errors is not None
    assert len(failed.errors.data or ()) == MOST_ERRORS


@in_both
def test_too_many_lines_or_one_that_is_too_long_fail_the_batch(
    client: OpenAI,
    app: Flask,
    settings: Settings,
    database: Database,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching.reading, "MOST_LINES", 2)
    batch = ask([a_line(f"{n}", {}) for n in range(3)])
    runtime = app.extensions["treadle"]
    work_off(database, Steps(runtime))
    failed = client.batches.retrieve(batch.id)
    assert failed.errors is not None
    assert [one.code for one in failed.errors.data or ()] == ["too_many_lines"]
    short = replace(runtime, settings=replace(settings, body_bytes=1024))
    batch = ask([a_line("x", {"text": "x" * 2000}), GOOD])
    work_off(database, Steps(short))
    failed = client.batches.retrieve(batch.id)
    assert failed.errors is not None
    assert [(one.code, one.line) for one in failed.errors.data or ()] == [("line_too_long", 1)]


def test_a_cancelled_batch_has_what_was_answered_by_then(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, worker: Bell
) -> None:
    batch = ask([a_line(f"q{n}", a_question(f"{n}?")) for n in range(60)])
    steps.advance()
    hurry(database)
    steps.advance()
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM runs") == 16
    worker.answer()
    hurry(database)
    steps.advance()
    assert client.batches.cancel(batch.id).status == "cancelling"
    again = client.batches.cancel(batch.id)
    assert again.cancelling_at
    work_off(database, steps, worker)
    ended = client.batches.retrieve(batch.id)
    assert (ended.status, ended.completed_at) == ("cancelled", None)
    assert ended.cancelled_at
    assert ended.request_counts.to_dict() == {"total": 60, "completed": 16, "failed": 44}  # type: ignore[union-attr]
    assert len(output(client, ended.output_file_id)) == 16
    errors = output(client, ended.error_file_id)
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
    assert [line["response"] for line in errors] == [None] * 44
    for status in ("cancelled",):
        with pytest.raises(BadRequestError, match=f"Cannot cancel batch with status '{status}'"):
            client.batches.cancel(batch.id)


def test_a_batch_is_cancelled_while_it_is_read_too(
    client: OpenAI, database: Database, ask: Ask, steps: Steps
) -> None:
    batch = ask([GOOD])
    client.batches.cancel(batch.id)
    work_off(database, steps)
    ended = client.batches.retrieve(batch.id)
    assert (ended.status, ended.output_file_id, ended.error_file_id) == ("cancelled", None, None)


def test_a_batch_whose_time_is_over_expires_with_what_was_answered(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, worker: Bell
) -> None:
    batch = ask([a_line(f"q{n}", a_question(f"{n}?")) for n in range(60)])
    steps.advance()
    hurry(database)
    steps.advance()
    with database.autocommit() as tx:
        tx.execute("UPDATE batches SET expires_at = now()")
    work_off(database, steps, worker)
    ended = client.batches.retrieve(batch.id)
    assert ended.status == "expired"
    assert ended.expired_at
    assert ended.finalizing_at
    errors = output(client, ended.error_file_id)
    assert len(errors) == 60
    assert {line["error"]["code"] for line in errors} == {"batch_expired"}
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM runs") == 0


def test_a_run_that_no_worker_had_time_for_is_begun_again(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, worker: Bell
) -> None:
    batch = ask([a_line("q", a_question("Why?"))])
    steps.advance()
    for _ in range(5):
        hurry(database)
        steps.advance()
        with database.autocommit() as tx:
            tx.execute(
                "UPDATE runs SET status = 'expired', expires_at = now() WHERE status = 'queued'"
            )
    work_off(database, steps, worker)
    ended = client.batches.retrieve(batch.id)
    assert len(output(client, ended.output_file_id)) == 1


def test_a_run_that_somebody_deletes_is_told_as_such(
    client: OpenAI,
    database: Database,
    ask: Ask,
    steps: Steps,
    worker: Bell,
    assistant_id: str,
) -> None:
    batch = ask([a_line("q", a_run_of(assistant_id, "Why?"), THREADS_RUNS)], THREADS_RUNS)
    steps.advance()
    hurry(database)
    steps.advance()
    with database.autocommit() as tx:
        tx.execute("DELETE FROM threads")
    work_off(database, steps, worker)
    (line,) = output(client, client.batches.retrieve(batch.id).error_file_id)
    assert line["error"]["code"] == "run_deleted"


@in_both
def test_the_input_may_be_deleted_while_it_is_worked_off(
    client: OpenAI,
    database: Database,
    settings: Settings,
    ask: Ask,
    steps: Steps,
    worker: Bell,
) -> None:
    batch = ask([GOOD])
    client.files.delete(batch.input_file_id)
    clearing = Clearing(database, open_blobs(settings))
    clearing.clear()
    work_off(database, steps, worker)
    ended = client.batches.retrieve(batch.id)
    assert len(output(client, ended.output_file_id)) == 1
    clearing.clear()
    assert kept(settings) == {ended.output_file_id}


def test_a_batch_whose_bytes_cannot_be_read_waits_and_holds_up_no_other(
    client: OpenAI,
    database: Database,
    settings: Settings,
    ask: Ask,
    steps: Steps,
    worker: Bell,
) -> None:
    stuck, other = ask([GOOD]), ask([GOOD])
    blob = settings.blob_directory / stuck.input_file_id
    away = blob.rename(settings.home / "away")
    while steps.advance():
        worker.answer()
    assert client.batches.retrieve(stuck.id).status == "validating"
    assert client.batches.retrieve(other.id).status == "in_progress"
    away.rename(blob)
    work_off(database, steps, worker)
    for batch in (stuck, other):
        assert client.batches.retrieve(batch.id).status == "completed"


def test_output_files_live_as_long_as_their_caller_says(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, worker: Bell
) -> None:
    life = {"anchor": "created_at", "seconds": 3600}
    batch = ask([GOOD, a_line("bad", {})], output_expires_after=life)
    work_off(database, steps, worker)
    ended = client.batches.retrieve(batch.id)
    for file_id in (ended.output_file_id, ended.error_file_id):
        file = client.files.retrieve(file_id or "")
        assert file.expires_at == file.created_at + 3600


def test_no_more_runs_wait_at_once_than_half_of_what_the_project_may_have(
    settings: Settings, database: Database, caller: Caller
) -> None:
    with an_app(settings, queued_runs=8) as app, client_as(app, caller.secret) as client:
        text = "\n".join(json.dumps(a_line(f"{n}", a_question("x"))) for n in range(20))
        file = client.files.create(file=text.encode(), purpose="batch")
        client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
        steps = Steps(app.extensions["treadle"])
        for _ in range(5):
            hurry(database)
            steps.advance()
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM runs") == 4


def test_who_writes_the_files_without_the_newest_fence_ends_nothing(
    client: OpenAI, database: Database, ask: Ask, steps: Steps, worker: Bell
) -> None:
    made = ask([GOOD])
    while client.batches.retrieve(made.id).status != "finalizing":
        hurry(database)
        with database.transaction() as tx:
            batch = batches.take(tx)
            assert batch is not None
            steps._step(tx, batch)
        worker.answer()
    with database.transaction() as tx:
        batch = batches.take(tx)
        assert batch is not None
        stale = batches.lease(tx, batch, 10)
        batches.lease(tx, batch, 10)
    with pytest.raises(LeaseLost):
        steps._writing.write(batch, stale)
    with pytest.raises(LeaseLost), database.transaction() as tx:
        batch_transitions.end(tx, batch, stale, None, None)
    assert client.batches.retrieve(made.id).status == "finalizing"
    work_off(database, steps, worker)
    assert len(client.files.list(purpose="batch_output").data) == 1


@in_both
def test_a_writer_that_dies_leaves_its_work_to_the_next(
    client: OpenAI,
    database: Database,
    settings: Settings,
    ask: Ask,
    steps: Steps,
    worker: Bell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = ask([GOOD])
    with monkeypatch.context() as patched:
        patched.setattr(batch_transitions, "end", Mock(side_effect=SystemExit))
        with pytest.raises(SystemExit):
            work_off(database, steps, worker)
    assert client.batches.retrieve(made.id).status == "finalizing"
    assert client.files.list(purpose="batch_output").data == []
    steps.advance()
    assert client.batches.retrieve(made.id).status == "finalizing"
    work_off(database, steps, worker)
    (file,) = client.files.list(purpose="batch_output").data
    assert client.batches.retrieve(made.id).output_file_id == file.id
    with database.autocommit() as tx:
        tx.execute("UPDATE unowned_blobs SET due_at = now()")
    Clearing(database, open_blobs(settings)).clear()
    assert kept(settings) == {made.input_file_id, file.id}


def test_only_a_file_for_batches_becomes_one(
    client: OpenAI, database: Database, caller: Caller, http: httpx2.Client
) -> None:
    wrong = a_file(database, caller.project_id, purpose="user_data")
    body = {"endpoint": THREADS_RUNS, "completion_window": "24h"}
    error = error_of(http.post("batches", json={**body, "input_file_id": wrong.id}))
    assert (error["param"], error["code"]) == ("input_file_id", "invalid_value")
    error = error_of(http.post("batches", json={**body, "input_file_id": "file-none"}), 404)
    assert error["message"] == "No such File object: file-none"


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"endpoint": "/v1/responses"}, "endpoint", "invalid_value"),
        ({"endpoint": None}, "endpoint", "invalid_type"),
        ({"completion_window": "1h"}, "completion_window", "invalid_value"),
        ({"input_file_id": "x"}, "input_file_id", "invalid_value"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds", "integer_below_min_value"),
        ({"output_expires_after": {"seconds": 3600}}, "output_expires_after.anchor", "missing_required_parameter"),
        ({"metadata": {"a": 1}}, "metadata.a", "invalid_type"),
        ({"status": "completed"}, "status", "unknown_parameter"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(
    http: httpx2.Client, database: Database, caller: Caller, change: Any, param: str, code: str
) -> None:
    file = a_file(database, caller.project_id, purpose="batch")
    body = {"input_file_id": file.id, "endpoint": THREADS_RUNS, "completion_window": "24h"}
    error = error_of(http.post("batches", json={**body, **change}))
    assert (error["param"], error["code"]) == (param, code)


def test_batches_are_listed_and_an_unknown_one_is_not_found(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    file = a_file(database, caller.project_id, purpose="batch")
    made = [a_batch(database, caller.project_id, file.id).id for _ in range(3)]
    assert [batch.id for batch in client.batches.list(limit=2)] == made[::-1]
    for act in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(NotFoundError, match="No batch found with id 'batch_none'"):
            act("batch_none")


def test_the_same_request_with_the_same_key_is_one_batch(client: OpenAI, ask: Ask) -> None:
    file_id = ask([GOOD]).input_file_id
    first, again = (
        client.batches.create(
            input_file_id=file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            extra_headers={"Idempotency-Key": "k"},
        )
        for _ in range(2)
    )
    assert first.id == again.id
    assert len(client.batches.list().data) == 2


@pytest.mark.parametrize("to", BatchStatus)
def test_a_status_comes_only_after_those_that_may_be_before_it(to: BatchStatus) -> None:
    assert {earlier for earlier in BatchStatus if to in NEXT[earlier]} == set(before(to))
    assert (to in ENDED) == (not NEXT[to])
