"""/assistants"""

from typing import Any

import httpx2
import pytest
from openai import NotFoundError, OpenAI

from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller
from tests.factories import a_run, an_assistant
from tests.integration.wire import error_of

SETTINGS: dict[str, Any] = {
    "model": "o3",
    "name": "Ada",
    "description": "counts",
    "instructions": "Count.",
    "tools": [],
    "tool_resources": {"code_interpreter": {"file_ids": []}},
    "metadata": {"a": "b", "c": "d"},
    "temperature": 0.0,
    "top_p": 0.25,
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
}

BAD: list[tuple[dict[str, Any], str, str | None, str | None]] = [
    ({"model": None}, "model", "invalid_type", "Invalid type for 'model': expected a string, but got null instead."),
    ({"name": "x" * 257}, "name", "string_above_max_length", "Invalid 'name': string too long. Expected a string with maximum length 256, but got a string with length 257 instead."),
    ({"description": "x" * 513}, "description", "string_above_max_length", None),
    ({"instructions": "x" * 256_001}, "instructions", "string_above_max_length", None),
    ({"temperature": 2.1}, "temperature", "decimal_above_max_value", None),
    ({"temperature": -0.1}, "temperature", "decimal_below_min_value", "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -0.1 instead."),
    ({"temperature": "1"}, "temperature", "invalid_type", None),
    ({"temperature": True}, "temperature", "invalid_type", None),
    ({"top_p": 1.01}, "top_p", "decimal_above_max_value", None),
    ({"response_format": "json"}, "response_format", "invalid_value", None),
    ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value", "Invalid value: 'xml'. Supported values are: 'text', 'json_object', and 'json_schema'."),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter", None),
    ({"response_format": {"type": "text", "json_schema": {"name": "a"}}}, "response_format.json_schema", "unknown_parameter", None),
    ({"response_format": {}}, "response_format.type", "missing_required_parameter", None),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name", "missing_required_parameter", None),
    ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value", None),
    ({"tools": [{"type": "code_interpreter"}]}, "tools[0].type", "not_built", None),
    ({"metadata": {"a": None}}, "metadata.a", "invalid_type", "Invalid type for 'metadata.a': expected a string, but got null instead."),
    ({"metadata": {str(i): "" for i in range(17)}}, "metadata", None, None),
    ({"metadata": {"k" * 65: ""}}, "metadata", None, None),
    ({"metadata": {"k": "v" * 513}}, "metadata.k", "string_above_max_length", None),
    ({"file_ids": []}, "file_ids", "unknown_parameter", "Unknown parameter: 'file_ids'."),
    ({"tool_resources": {"file_search": {"vector_store_ids": ["vs_1", "vs_2"]}}}, "tool_resources.file_search.vector_store_ids", "array_above_max_length", None),
    ({"tool_resources": {"file_search": {"vector_stores": [{}, {}]}}}, "tool_resources.file_search.vector_stores", "array_above_max_length", None),
    ({"tool_resources": {"file_search": {"vector_stores": [{}], "vector_store_ids": ["vs_1"]}}}, "tool_resources.file_search.vector_stores", "invalid_value", None),
    ({"tool_resources": {"file_search": {"vector_stores": [{"name": "n"}]}}}, "tool_resources.file_search.vector_stores[0].name", "unknown_parameter", None),
    ({"tool_resources": {"browser": {}}}, "tool_resources.browser", "unknown_parameter", "Unknown parameter: 'tool_resources.browser'."),
]  # fmt: skip


def test_an_assistant_needs_only_a_model_and_has_the_wires_defaults(http: httpx2.Client) -> None:
    made = http.post("assistants", json={"model": "gpt-4o"}).json()
    assert made.pop("id").startswith("asst_")
    assert isinstance(made.pop("created_at"), int)
    assert made == {
        "object": "assistant",
        "name": None,
        "description": None,
        "model": "gpt-4o",
        "instructions": None,
        "tools": [],
        "tool_resources": {},
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "response_format": "auto",
        "reasoning_effort": None,
    }


def test_every_setting_is_kept_and_shown_again(client: OpenAI) -> None:
    made = client.beta.assistants.create(**SETTINGS)
    assert {name: made.to_dict()[name] for name in SETTINGS} == SETTINGS
    assert client.beta.assistants.retrieve(made.id) == made
    assert client.beta.assistants.list().data == [made]


def test_creating_twice_makes_two(client: OpenAI) -> None:
    ids = {client.beta.assistants.create(model="m", name="same").id for _ in range(2)}
    assert len(ids) == 2


def test_a_modification_changes_what_it_names_and_nothing_else(client: OpenAI) -> None:
    made = client.beta.assistants.create(**SETTINGS)
    shown = made.to_dict()
    changes: list[dict[str, Any]] = [
        {"name": "Bob"},
        {"description": "adds"},
        {"model": "gpt-4o"},
        {"instructions": "Add."},
        {"metadata": {"e": "f"}},
        {"temperature": 1.5},
        {"top_p": 0},
        {"response_format": "auto"},
        {"reasoning_effort": "high"},
        {"tool_resources": {}},
        {"name": None},
        {"instructions": None},
        {},
    ]
    for change in changes:
        changed = client.beta.assistants.update(made.id, **change)
        shown |= change
        assert changed.to_dict() == shown, change
    assert client.beta.assistants.retrieve(made.id).to_dict() == shown


def test_the_same_modification_twice_is_the_same_as_once(client: OpenAI) -> None:
    made = client.beta.assistants.create(model="m")
    once, twice = (client.beta.assistants.update(made.id, name="Bob") for _ in range(2))
    assert once == twice


def test_a_modification_leaves_the_runs_of_the_assistant_alone(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    client.beta.assistants.update(run.assistant_id, model="other", instructions="Otherwise.")
    shown = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert (shown.model, shown.instructions) == ("gpt-4o", "Be brief.")


def test_a_deleted_assistant_is_gone_and_its_runs_stay(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id, status=RunStatus.COMPLETED)
    deleted = client.beta.assistants.delete(run.assistant_id)
    assert deleted.to_dict() == {
        "id": run.assistant_id,
        "object": "assistant.deleted",
        "deleted": True,
    }
    for use in (
        client.beta.assistants.retrieve,
        client.beta.assistants.update,
        client.beta.assistants.delete,
    ):
        with pytest.raises(NotFoundError, match="No assistant found"):
            use(run.assistant_id)
    assert client.beta.assistants.list().data == []
    kept = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert kept.assistant_id == run.assistant_id


def test_an_unknown_assistant_is_not_found(http: httpx2.Client) -> None:
    for method, body in (("GET", None), ("POST", {"name": "x"}), ("DELETE", None)):
        error = error_of(http.request(method, "assistants/asst_x", json=body), 404)
        assert error == {
            "message": "No assistant found with id 'asst_x'.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


def test_an_id_of_another_kind_is_a_bad_argument(http: httpx2.Client) -> None:
    for method, body in (("GET", None), ("POST", {"name": "x"}), ("DELETE", None)):
        error = error_of(http.request(method, "assistants/thread_x", json=body))
        assert (error["param"], error["code"]) == ("assistant_id", "invalid_value")
        assert error["message"] == (
            "Invalid 'assistant_id': 'thread_x'. Expected an ID that begins with 'asst'."
        )


def test_a_bad_argument_is_refused_by_its_name(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    made = an_assistant(database, caller.project_id)
    for change, param, code, message in BAD:
        for path, body in (
            ("assistants", {"model": "m", **change}),
            (f"assistants/{made.id}", change),
        ):
            error = error_of(http.post(path, json=body))
            assert error["param"] == param, change
            assert code in (None, error["code"]), (change, error)
            assert message in (None, error["message"]), (change, error)
    assert len(http.get("assistants").json()["data"]) == 1


def test_a_missing_model_is_named(http: httpx2.Client) -> None:
    assert error_of(http.post("assistants", json={"name": "x"})) == {
        "message": "Missing required parameter: 'model'.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "missing_required_parameter",
    }


def test_limits_count_characters_and_the_longest_allowed_passes(client: OpenAI) -> None:
    longest: dict[str, Any] = {
        "name": "😀" * 256,
        "description": "é" * 512,
        "instructions": "x" * 256_000,
        "metadata": {f"{i:064}": "ß" * 512 for i in range(16)},
        "temperature": 2,
        "top_p": 1,
    }
    made = client.beta.assistants.create(model="m", **longest)
    assert {name: made.to_dict()[name] for name in longest} == longest


def test_files_and_vector_stores_that_do_not_exist_are_not_found(http: httpx2.Client) -> None:
    made = http.post("assistants", json={"model": "m"}).json()
    for resources, param, message in (
        ({"code_interpreter": {"file_ids": ["file-x"]}}, "id", "No such File object: file-x"),
        (
            {"file_search": {"vector_store_ids": ["vs_x"]}},
            None,
            "No vector store found with id 'vs_x'.",
        ),
    ):
        for path in ("assistants", f"assistants/{made['id']}"):
            body = {"model": "m", "tool_resources": resources}
            error = error_of(http.post(path, json=body), 404)
            assert (error["param"], error["message"]) == (param, message)
    assert http.get("assistants").json()["data"] == [made]
