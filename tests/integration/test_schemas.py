"""The shapes on the wire: which keys an object has, and which arguments a call takes."""

import typing
from typing import Any

import httpx2
from flask import Flask
from openai import OpenAI
from openai.types.beta import (
    AssistantCreateParams,
    AssistantUpdateParams,
    ThreadCreateParams,
    ThreadUpdateParams,
)
from openai.types.beta.thread_create_and_run_params import ThreadCreateAndRunParamsNonStreaming
from openai.types.beta.threads import MessageCreateParams, MessageUpdateParams, RunUpdateParams
from openai.types.beta.threads.run_create_params import RunCreateParamsNonStreaming
from openai.types.beta.threads.run_submit_tool_outputs_params import (
    RunSubmitToolOutputsParamsNonStreaming,
)

from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller
from tests.factories import a_run
from tests.integration.samples import a_body, bodies_of
from tests.integration.wire import a_world, routes


def words(text: str) -> set[str]:
    return set(text.split())


ASSISTANT = words(
    "id object created_at name description model instructions tools tool_resources metadata"
    " temperature top_p response_format reasoning_effort"
)
THREAD = {"id", "object", "created_at", "tool_resources", "metadata"}
MESSAGE = words(
    "id object created_at thread_id status incomplete_details completed_at incomplete_at role"
    " content assistant_id run_id attachments metadata"
)
RUN = words(
    "id object created_at thread_id assistant_id status required_action last_error expires_at"
    " started_at cancelled_at failed_at completed_at incomplete_details model instructions tools"
    " tool_resources metadata usage temperature top_p max_prompt_tokens max_completion_tokens"
    " truncation_strategy tool_choice parallel_tool_calls response_format reasoning_effort"
)
RUN_STEP = words(
    "id object created_at assistant_id thread_id run_id type status step_details last_error"
    " expires_at expired_at cancelled_at failed_at completed_at metadata usage"
)
USAGE = words(
    "prompt_tokens completion_tokens total_tokens prompt_token_details completion_tokens_details"
)
OBJECTS = {
    "assistant": ASSISTANT,
    "thread": THREAD,
    "thread.message": MESSAGE,
    "thread.run": RUN,
    "thread.run.step": RUN_STEP,
}
DELETED = {"assistant.deleted", "thread.deleted", "thread.message.deleted"}


class Nothing(typing.TypedDict):
    pass


CALLS: dict[str, Any] = {
    "/v1/assistants": AssistantCreateParams,
    "/v1/assistants/<assistant_id>": AssistantUpdateParams,
    "/v1/threads": ThreadCreateParams,
    "/v1/threads/<thread_id>": ThreadUpdateParams,
    "/v1/threads/<thread_id>/messages": MessageCreateParams,
    "/v1/threads/<thread_id>/messages/<message_id>": MessageUpdateParams,
    "/v1/threads/<thread_id>/runs": RunCreateParamsNonStreaming,
    "/v1/threads/runs": ThreadCreateAndRunParamsNonStreaming,
    "/v1/threads/<thread_id>/runs/<run_id>": RunUpdateParams,
    "/v1/threads/<thread_id>/runs/<run_id>/cancel": Nothing,
    "/v1/threads/<thread_id>/runs/<run_id>/submit_tool_outputs": RunSubmitToolOutputsParamsNonStreaming,
}


def test_every_answer_is_an_object_with_exactly_the_wires_keys(
    app: Flask, http: httpx2.Client, database: Database, caller: Caller
) -> None:
    seen: set[str] = set()
    for route in (one for one in routes(app) if not one.streams):
        ids = a_world(database, caller.project_id, route)
        body = None if route.body is None else a_body(route.body, ids)
        shown = http.request(route.method, f"http://treadle{route.path(ids)}", json=body).json()
        if route.method == "DELETE":
            assert shown.keys() == {"id", "object", "deleted"}, route
            assert shown["deleted"] is True, route
            assert shown["object"] in DELETED, route
        items = [shown]
        if shown["object"] == "list":
            assert shown.keys() == {"object", "data", "first_id", "last_id", "has_more"}, route
            items = shown["data"]
            assert items, route
        for item in items if route.method != "DELETE" else ():
            assert item.keys() == OBJECTS[item["object"]], route
        seen.add(items[0]["object"])
    assert seen == OBJECTS.keys() | DELETED


def test_every_instant_is_a_whole_number_and_every_absent_value_null(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    for status in RunStatus:
        run = a_run(database, caller.project_id, status=status)
        shown = http.get(f"threads/{run.thread_id}/runs/{run.id}").json()
        instants = {name: value for name, value in shown.items() if name.endswith("_at")}
        assert {type(value) for value in instants.values()} <= {int, type(None)}, status
        assert type(shown["created_at"]) is int
        if shown["usage"] is not None:
            assert shown["usage"].keys() == USAGE, status


def test_the_official_client_finds_every_answer_as_its_types_say(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    """The client of these tests raises on an answer that does not fit."""
    ids = a_world(database, caller.project_id)
    thread_id, run_id = ids["thread_id"], ids["run_id"]
    threads = client.beta.threads
    shown = [
        client.beta.assistants.retrieve(ids["assistant_id"]),
        threads.retrieve(thread_id),
        threads.messages.retrieve(ids["message_id"], thread_id=thread_id),
        threads.runs.retrieve(run_id, thread_id=thread_id),
        threads.runs.steps.retrieve(ids["step_id"], thread_id=thread_id, run_id=run_id),
    ]
    for one in shown:
        declared = set(type(one).model_fields)
        assert declared <= OBJECTS[one.object] | {"enabled"}, one.object
        assert one.model_fields_set >= declared - {"enabled"}, one.object
    lists = [
        client.beta.assistants.list(),
        threads.messages.list(thread_id),
        threads.runs.list(thread_id),
        threads.runs.steps.list(run_id, thread_id=thread_id),
    ]
    for page in lists:
        assert page.to_dict().keys() == {"object", "data", "first_id", "last_id", "has_more"}
    for status in set(RunStatus) - {RunStatus.REQUIRES_ACTION}:
        run = a_run(database, caller.project_id, status=status)
        assert threads.runs.retrieve(run.id, thread_id=run.thread_id).status == status


def test_every_call_takes_the_arguments_of_the_official_client_and_no_others(app: Flask) -> None:
    found = {route.rule: route.body for route in routes(app) if route.body is not None}
    assert found.keys() == CALLS.keys()
    for rule, schema in found.items():
        assert schema is not None
        expected = set(typing.get_type_hints(CALLS[rule]))
        in_the_address = {"thread_id", "include"} if "<thread_id>" in rule else set()
        assert set(schema.load_fields) == expected - in_the_address, rule


def nullable(rule: str) -> set[str]:
    hints = typing.get_type_hints(CALLS[rule])
    return {name for name, hint in hints.items() if type(None) in typing.get_args(hint)}


def test_null_is_taken_wherever_the_official_client_may_send_it(
    app: Flask, http: httpx2.Client, database: Database, caller: Caller
) -> None:
    for route, _, _ in bodies_of(app, database, caller.project_id):
        for name in nullable(route.rule):
            ids = a_world(database, caller.project_id, route)
            assert route.body is not None
            body = {**a_body(route.body, ids), name: None}
            answer = http.post(f"http://treadle{route.path(ids)}", json=body)
            assert answer.status_code == 200, (str(route), name, answer.text)


def test_null_means_the_same_as_nothing_when_something_is_made(
    app: Flask, http: httpx2.Client, database: Database, caller: Caller
) -> None:
    ids = a_world(database, caller.project_id)
    nulls = {
        "/v1/assistants": {"model": "m"},
        "/v1/threads": {},
        "/v1/threads/<thread_id>/messages": {"role": "user", "content": "x"},
        "/v1/threads/runs": {"assistant_id": ids["assistant_id"]},
    }
    for rule, least in nulls.items():
        (route,) = (one for one in routes(app) if one.rule == rule and one.body is not None)
        absent = dict.fromkeys(nullable(rule))
        path = f"http://treadle{route.path(ids)}"
        made = [http.post(path, json=body).json() for body in (least, {**absent, **least})]
        for one in made:
            for own in ("id", "thread_id", "created_at", "completed_at", "expires_at"):
                one.pop(own, None)
        assert made[0] == made[1], rule
