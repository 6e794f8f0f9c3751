"""POST /threads/{thread_id}/runs"""

import httpx2
import pytest
from flask import Flask
from openai import BadRequestError, NotFoundError, OpenAI

from shared.db import Database
from shared.run_state import ACTIVE, TERMINAL, RunStatus
from tests.conftest import Caller, a_caller, client_as
from tests.factories import a_run, a_thread, an_assistant


def test_a_run_begins_queued_with_the_assistants_settings(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id, temperature=0.0, model="gpt-4o-mini")
    thread = a_thread(database, caller.project_id, "Why?")
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    assert (run.status, run.object) == ("queued", "thread.run")
    assert run.expires_at == run.created_at + 600
    assert (run.model, run.temperature, run.top_p) == ("gpt-4o-mini", 0.0, 1.0)
    assert run.instructions == "Be brief."
    assert run.started_at is run.completed_at is run.usage is run.required_action is None
    assert run.truncation_strategy is not None
    assert run.truncation_strategy.model_dump() == {"type": "auto", "last_messages": None}
    assert (run.tool_choice, run.response_format, run.parallel_tool_calls) == ("auto", "auto", True)


def test_what_the_request_says_goes_before_what_the_assistant_says(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id, temperature=0.5)
    thread = a_thread(database, caller.project_id, "Why?")
    run = client.beta.threads.runs.create(
        thread.id,
        assistant_id=assistant.id,
        model="o3",
        instructions="Be long.",
        additional_instructions="Rhyme.",
        temperature=0,
        top_p=0,
        metadata={"a": "b"},
        max_completion_tokens=300,
        max_prompt_tokens=400,
        truncation_strategy={"type": "last_messages", "last_messages": 2},
        response_format={"type": "json_object"},
        tool_choice="none",
        parallel_tool_calls=False,
        reasoning_effort="low",
    )
    assert run.model == "o3"
    assert run.instructions == "Be long.\nRhyme."
    assert (run.temperature, run.top_p) == (0, 0)
    assert run.metadata == {"a": "b"}
    assert (run.max_completion_tokens, run.max_prompt_tokens) == (300, 400)
    assert run.truncation_strategy is not None
    assert run.truncation_strategy.last_messages == 2
    assert run.response_format is not None
    assert run.tool_choice == "none"
    assert run.parallel_tool_calls is False
    assert client.beta.assistants.retrieve(assistant.id).temperature == 0.5


@pytest.mark.parametrize(
    ("of_assistant", "asked", "instructions"),
    [
        ("Be brief.", {}, "Be brief."),
        ("Be brief.", {"instructions": None, "additional_instructions": None}, "Be brief."),
        ("Be brief.", {"instructions": ""}, ""),
        ("Be brief.", {"additional_instructions": ""}, "Be brief."),
        ("Be brief.", {"additional_instructions": "Rhyme."}, "Be brief.\nRhyme."),
        ("Be brief.", {"instructions": "", "additional_instructions": "Rhyme."}, "Rhyme."),
        (None, {"additional_instructions": "Rhyme."}, "Rhyme."),
        (None, {"additional_instructions": ""}, None),
        ("", {}, ""),
    ],
)
def test_instructions_are_the_requests_or_the_assistants_and_then_the_additional_ones(
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    of_assistant: str | None,
    asked: dict[str, str | None],
    instructions: str | None,
) -> None:
    assistant = an_assistant(database, caller.project_id, instructions=of_assistant)
    body = {"assistant_id": assistant.id, **asked}
    thread = a_thread(database, caller.project_id, "Why?")
    run = http.post(f"threads/{thread.id}/runs", json=body).json()
    assert run["instructions"] == instructions


def test_what_is_null_is_the_assistants_or_the_wires(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    look = {"name": "look", "parameters": {}, "strict": False}
    of_assistant = {
        "model": "o3",
        "tools": [{"type": "function", "function": look}],
        "temperature": 0.0,
        "top_p": 0.5,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
    }
    otherwise = {
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "max_prompt_tokens": None,
        "max_completion_tokens": None,
        "metadata": {},
    }
    assistant = an_assistant(database, caller.project_id, **of_assistant)
    thread = a_thread(database, caller.project_id, "Why?")
    nothing = dict.fromkeys([*of_assistant, *otherwise, "additional_messages", "stream"])
    body = {"assistant_id": assistant.id, **nothing}
    run = http.post(f"threads/{thread.id}/runs", json=body).json()
    assert {name: run[name] for name in [*of_assistant, *otherwise]} == {
        **of_assistant,
        **otherwise,
    }
    tools = http.post("threads/runs", json={"assistant_id": assistant.id, "tools": []}).json()
    assert tools["tools"] == []


def test_additional_messages_stand_in_the_thread_before_the_answer(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    thread = a_thread(database, caller.project_id, "first")
    client.beta.threads.runs.create(
        thread.id,
        assistant_id=assistant.id,
        additional_messages=[
            {"role": "assistant", "content": "second"},
            {"role": "user", "content": "third"},
        ],
    )
    said = client.beta.threads.messages.list(thread.id, order="asc").data
    assert [message.content[0].text.value for message in said] == ["first", "second", "third"]


def test_what_a_caller_asks_to_be_included_is_accepted(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    thread = a_thread(database, caller.project_id, "Why?")
    run = client.beta.threads.runs.create(
        thread.id,
        assistant_id=assistant.id,
        include=["step_details.tool_calls[*].file_search.results[*].content"],
    )
    assert run.status == "queued"


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_a_thread_with_an_active_run_takes_no_other(
    http: httpx2.Client, database: Database, caller: Caller, status: RunStatus
) -> None:
    run = a_run(database, caller.project_id, status=status)
    answer = http.post(f"threads/{run.thread_id}/runs", json={"assistant_id": run.assistant_id})
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": f"Thread {run.thread_id} already has an active run {run.id}.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_thread_whose_run_has_ended_takes_another(
    client: OpenAI, database: Database, caller: Caller, status: RunStatus
) -> None:
    run = a_run(database, caller.project_id, status=status)
    again = client.beta.threads.runs.create(run.thread_id, assistant_id=run.assistant_id)
    assert again.status == "queued"


def test_an_empty_thread_needs_instructions(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    silent = an_assistant(database, caller.project_id, instructions=None)
    thread = a_thread(database, caller.project_id)
    with pytest.raises(BadRequestError) as caught:
        client.beta.threads.runs.create(thread.id, assistant_id=silent.id)
    assert caught.value.code == "invalid_thread"
    run = client.beta.threads.runs.create(thread.id, assistant_id=silent.id, instructions="Greet.")
    assert run.status == "queued"


def test_an_unknown_thread_or_assistant_is_not_found(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    thread = a_thread(database, caller.project_id, "Why?")
    with pytest.raises(NotFoundError, match="No thread found with id 'thread_x'"):
        client.beta.threads.runs.create("thread_x", assistant_id=assistant.id)
    with pytest.raises(NotFoundError, match="No assistant found with id 'asst_x'"):
        client.beta.threads.runs.create(thread.id, assistant_id="asst_x")


def test_another_projects_thread_or_assistant_is_as_if_it_never_was(
    app: Flask, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    thread = a_thread(database, caller.project_id, "Why?")
    other = a_caller(database, "other")
    own = an_assistant(database, other.project_id)
    stranger = client_as(app, other.secret)
    with pytest.raises(NotFoundError, match=f"No thread found with id '{thread.id}'"):
        stranger.beta.threads.runs.create(thread.id, assistant_id=own.id)
    their_thread = a_thread(database, other.project_id, "Why?")
    with pytest.raises(NotFoundError, match=f"No assistant found with id '{assistant.id}'"):
        stranger.beta.threads.runs.create(their_thread.id, assistant_id=assistant.id)


@pytest.mark.parametrize(
    ("body", "param", "code", "message"),
    [
        ({}, "assistant_id", "missing_required_parameter", "Missing required parameter: 'assistant_id'."),
        ({"assistant_id": 5}, "assistant_id", "invalid_type", "Invalid type for 'assistant_id': expected a string, but got an integer instead."),
        ({"assistant_id": "x"}, "assistant_id", "invalid_value", "Invalid 'assistant_id': 'x'. Expected an ID that begins with 'asst'."),
        ({"assistant_id": "asst_1", "temperature": 3}, "temperature", "decimal_above_max_value", "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead."),
        ({"assistant_id": "asst_1", "tools": [{"type": "code_interpreter"}]}, "tools[0].type", "not_built", "This version of Treadle does not have the tool code_interpreter yet: 'tools[0].type' is refused."),
        ({"assistant_id": "asst_1", "files": []}, "files", "unknown_parameter", "Unknown parameter: 'files'."),
        ({"assistant_id": "asst_1", "metadata": {"a": True}}, "metadata.a", "invalid_type", "Invalid type for 'metadata.a': expected a string, but got a boolean instead."),
        ({"assistant_id": "asst_1", "additional_messages": [{"role": "human", "content": "x"}]}, "additional_messages[0].role", "invalid_value", "Invalid value: 'human'. Supported values are: 'user' and 'assistant'."),
        ({"assistant_id": "asst_1", "max_completion_tokens": 10**30}, "max_completion_tokens", None, None),
        ({"assistant_id": "asst_1", "truncation_strategy": {"type": "last_messages"}}, "truncation_strategy.last_messages", "missing_required_parameter", "Missing required parameter: 'truncation_strategy.last_messages'."),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_in_the_wires_words(
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    body: dict[str, object],
    param: str,
    code: str | None,
    message: str | None,
) -> None:
    thread = a_thread(database, caller.project_id, "Why?")
    answer = http.post(f"threads/{thread.id}/runs", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    if message is not None:
        assert (error["code"], error["message"]) == (code, message)
