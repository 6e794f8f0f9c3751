"""The arguments that a call takes, and what the official client makes of its answers."""

import typing
from typing import Any

import httpx2
from flask import Flask
from openai import OpenAI
from openai.types import (
    BatchCreateParams,
    VectorStoreCreateParams,
    VectorStoreSearchParams,
    VectorStoreUpdateParams,
)
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
from openai.types.vector_stores import (
    FileBatchCreateParams,
    FileCreateParams,
    FileUpdateParams,
)

from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller
from tests.factories import a_run
from tests.integration.samples import a_body, bodies_of
from tests.integration.wire import a_world, routes


class Nothing(typing.TypedDict):
    pass


CALLS: dict[str, Any] = {
    "/v1/batches": BatchCreateParams,
    "/v1/batches/<batch_id>/cancel": Nothing,
    "/v1/vector_stores": VectorStoreCreateParams,
    "/v1/vector_stores/<vector_store_id>": VectorStoreUpdateParams,
    "/v1/vector_stores/<vector_store_id>/search": VectorStoreSearchParams,
    "/v1/vector_stores/<vector_store_id>/files": FileCreateParams,
    "/v1/vector_stores/<vector_store_id>/files/<file_id>": FileUpdateParams,
    "/v1/vector_stores/<vector_store_id>/file_batches": FileBatchCreateParams,
    "/v1/vector_stores/<vector_store_id>/file_batches/<file_batch_id>/cancel": Nothing,
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
        assert one.model_fields_set >= declared - {"enabled"}, one.object
    assert client.beta.assistants.list().data
    assert threads.messages.list(thread_id).data
    assert threads.runs.list(thread_id).data
    assert threads.runs.steps.list(run_id, thread_id=thread_id).data
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
        in_the_address |= {"vector_store_id"} if "<file_id>" in rule else set()
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
