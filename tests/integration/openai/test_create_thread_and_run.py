"""POST /threads/runs"""

from typing import Any

import httpx2
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from shared.db import Database
from tests.conftest import Caller
from tests.factories import an_assistant
from tests.integration.wire import error_of
from tests.model_server import ModelServer
from worker.bell import Bell

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"assistant_id": None}, "assistant_id", "invalid_type"),
    ({"assistant_id": "thread_x"}, "assistant_id", "invalid_value"),
    ({"thread": []}, "thread", "invalid_type"),
    ({"thread": {"messages": {}}}, "thread.messages", "invalid_type"),
    ({"thread": {"messages": [{"role": "human", "content": "x"}]}}, "thread.messages[0].role", "invalid_value"),
    ({"thread": {"messages": [{"role": "user"}]}}, "thread.messages[0].content", "missing_required_parameter"),
    ({"thread": {"metadata": {"a": 1}}}, "thread.metadata.a", "invalid_type"),
    ({"thread": {"id": "thread_x"}}, "thread.id", "unknown_parameter"),
    ({"thread_id": "thread_x"}, "thread_id", "unknown_parameter"),
    ({"stream": "yes"}, "stream", "invalid_type"),
    ({"tools": [{"type": "code_interpreter"}]}, "tools[0].type", "not_built"),
    ({"tool_choice": {"type": "code_interpreter"}}, "tool_choice.type", "not_built"),
    ({"tool_choice": "any"}, "tool_choice", "invalid_value"),
    ({"max_prompt_tokens": 255}, "max_prompt_tokens", "integer_below_min_value"),
    ({"max_completion_tokens": 300.0}, "max_completion_tokens", "invalid_type"),
    ({"truncation_strategy": {"type": "last_messages", "last_messages": 0}}, "truncation_strategy.last_messages", "integer_below_min_value"),
    ({"truncation_strategy": {}}, "truncation_strategy.type", "missing_required_parameter"),
    ({"parallel_tool_calls": 1}, "parallel_tool_calls", "invalid_type"),
]  # fmt: skip


def count(database: Database) -> list[int]:
    with database.autocommit() as tx:
        return [
            tx.value("SELECT count(*) FROM threads"),
            tx.value("SELECT count(*) FROM messages"),
            tx.value("SELECT count(*) FROM runs"),
            tx.value("SELECT count(*) FROM vector_stores"),
        ]


def test_a_question_is_asked_and_answered_in_one_call_and_a_list(
    client: OpenAI, database: Database, caller: Caller, worker: Bell, model_server: ModelServer
) -> None:
    assistant = an_assistant(database, caller.project_id)
    run = client.beta.threads.create_and_run(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "Why?"}]},
        model="gpt-4-turbo-preview",
    )
    assert (run.status, run.model, run.assistant_id) == (
        "queued",
        "gpt-4-turbo-preview",
        assistant.id,
    )
    worker.answer()
    assert client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id).status == "completed"
    said = client.beta.threads.messages.list(run.thread_id).data
    assert [message.role for message in said] == ["assistant", "user"]
    assert said[0].to_dict()["content"] == [
        {"type": "text", "text": {"value": "You said: Why?", "annotations": []}}
    ]
    assert (said[0].run_id, said[0].assistant_id) == (run.id, assistant.id)


def test_the_thread_is_made_as_described(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    run = client.beta.threads.create_and_run(
        assistant_id=assistant.id,
        thread={
            "messages": [
                {"role": "user", "content": "first", "metadata": {"n": "1"}},
                {"role": "assistant", "content": "second"},
            ],
            "metadata": {"of": "the thread"},
            "tool_resources": {"code_interpreter": {"file_ids": []}},
        },
        metadata={"of": "the run"},
        instructions="Rhyme.",
        temperature=0,
    )
    assert (run.metadata, run.instructions) == ({"of": "the run"}, "Rhyme.")
    assert run.temperature == 0
    thread = client.beta.threads.retrieve(run.thread_id)
    assert thread.metadata == {"of": "the thread"}
    assert thread.to_dict()["tool_resources"] == {"code_interpreter": {"file_ids": []}}
    said = client.beta.threads.messages.list(run.thread_id, order="asc").data
    assert [(message.role, message.metadata) for message in said] == [
        ("user", {"n": "1"}),
        ("assistant", {}),
    ]


def test_without_a_thread_one_is_made_empty(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    for body in ({}, {"thread": {}}, {"thread": None}, {"thread": {"messages": []}}):
        run = http.post("threads/runs", json={"assistant_id": assistant.id, **body}).json()
        assert run["status"] == "queued", body
        assert http.get(f"threads/{run['thread_id']}/messages").json()["data"] == []


def test_the_same_call_twice_makes_two_threads(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    made = [client.beta.threads.create_and_run(assistant_id=assistant.id) for _ in range(2)]
    assert made[0].id != made[1].id
    assert made[0].thread_id != made[1].thread_id


def test_nothing_is_made_of_a_call_that_is_refused(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    silent = an_assistant(database, caller.project_id, instructions=None)
    with pytest.raises(BadRequestError) as caught:
        client.beta.threads.create_and_run(
            assistant_id=silent.id, thread={"messages": [{"role": "assistant", "content": "Hm."}]}
        )
    assert caught.value.code == "invalid_thread"
    assert caught.value.body == {
        "message": "Run creation requires a Thread with a user message or an assistant with"
        " instructions.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_thread",
    }
    with pytest.raises(NotFoundError, match="No assistant found with id 'asst_x'"):
        client.beta.threads.create_and_run(
            assistant_id="asst_x", thread={"messages": [{"role": "user", "content": "x"}]}
        )
    with pytest.raises(NotFoundError, match="No assistant found with id 'asst_x'"):
        client.beta.threads.create_and_run(
            assistant_id="asst_x",
            thread={"tool_resources": {"file_search": {"vector_stores": [{"file_ids": []}]}}},
        )
    assert count(database) == [0, 0, 0, 0]


def test_a_bad_argument_is_refused_by_its_name(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    for change, param, code in BAD:
        body = {"assistant_id": assistant.id, **change}
        error = error_of(http.post("threads/runs", json=body))
        assert (error["param"], error["code"]) == (param, code), change
    error = error_of(http.post("threads/runs", json={}))
    assert error["message"] == "Missing required parameter: 'assistant_id'."
    assert count(database) == [0, 0, 0, 0]
