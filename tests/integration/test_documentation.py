"""/openapi.json and /docs: whole, valid, true of the answers, and without the network."""

import re
from typing import Any

import httpx2
import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller, http_as
from tests.factories import a_run, an_assistant
from worker.bell import Bell


@pytest.fixture
def stranger(app: Flask) -> httpx2.Client:
    """Without a key."""
    return http_as(app, "")


@pytest.fixture
def document(stranger: httpx2.Client) -> dict[str, Any]:
    return stranger.get("http://treadle/openapi.json").json()


@pytest.fixture
def page(stranger: httpx2.Client) -> httpx2.Response:
    return stranger.get("http://treadle/docs")


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)  # type: ignore[arg-type]


def test_every_route_of_the_mount_is_in_the_document_once(
    app: Flask, document: dict[str, Any]
) -> None:
    routes = {
        f"{method} {re.sub('<(path:)?', '{', rule.rule).replace('>', '}')}"
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(operations(document)) == routes
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(names)) == len(names)


def test_every_view_has_a_summary(document: dict[str, Any]) -> None:
    silent = [name for name, one in operations(document).items() if not one.get("summary")]
    assert silent == []


def test_the_fields_limits_are_told(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assistant = schemas["CreateAssistant"]
    assert assistant["required"] == ["model"]
    assert assistant["properties"]["model"]["maxLength"] == 256
    assert assistant["properties"]["temperature"] == {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 2,
        "default": 1.0,
    }
    assert assistant["properties"]["tools"]["maxItems"] == 128
    assert "default" not in schemas["ModifyAssistant"]["properties"]["temperature"]
    assert schemas["CreateMessage"]["properties"]["role"]["enum"] == ["user", "assistant"]
    assert schemas["Message"]["properties"]["created_at"]["type"] == "integer"
    assert schemas["Run"]["properties"]["tools"] == assistant["properties"]["tools"]
    assert not [name for name in schemas if name.startswith("_")]


def test_keys_held_polls_streams_and_empty_bodies_are_told(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"] == {
        "key": {"type": "http", "scheme": "bearer"}
    }
    assert document["security"] == [{"key": []}]
    calls = operations(document)
    run = "/v1/threads/{thread_id}/runs"
    assert [one["name"] for one in calls[f"GET {run}/{{run_id}}"]["parameters"]] == ["Prefer"]
    assert set(calls[f"POST {run}"]["responses"]["200"]["content"]) == {
        "application/json",
        "text/event-stream",
    }
    assert calls["POST /v1/assistants"]["requestBody"]["required"] is True
    assert calls["POST /v1/threads"]["requestBody"]["required"] is False


def test_what_is_answered_is_what_the_document_says(
    document: dict[str, Any],
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    worker: Bell,
) -> None:
    look = {"name": "look", "parameters": {}, "strict": False}
    function = {"type": "function", "function": look}
    an_assistant(database, caller.project_id, tools=[function], response_format={"type": "text"})
    waiting = a_run(database, caller.project_id, status=RunStatus.REQUIRES_ACTION)
    failed = a_run(database, caller.project_id, status=RunStatus.FAILED)
    run = a_run(database, caller.project_id)
    worker.answer()
    answers = {"ListAssistant": "assistants", "ModelList": "models"}
    for one in (waiting, failed, run):
        thread = f"threads/{one.thread_id}"
        answers |= {"Thread": thread, "ListMessage": f"{thread}/messages"}
        answers |= {
            "Run": f"{thread}/runs/{one.id}",
            "ListRunStep": f"{thread}/runs/{one.id}/steps",
        }
        for name, path in answers.items():
            _fits(document, name, http.get(path).json())
    _fits(document, "ErrorEnvelope", http.get("assistants/asst_none").json())


def test_the_page_tells_of_every_call(document: dict[str, Any], page: httpx2.Response) -> None:
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for operation in operations(document).values():
        assert page.text.count(f'<article id="{operation["operationId"]}">') == 1
    tags = [tag["name"] for tag in document["tags"]]
    assert re.findall(r'<section class="group" id="(\w+)">', page.text) == [*tags, "errors"]
    assert "at most 256,000 characters" in page.text


def test_the_page_needs_nothing_but_itself(page: httpx2.Response) -> None:
    assert re.findall(r"//[\w.]|\bsrc=|@import|url\(|<link", page.text) == []
    targets = set(re.findall(r'href="([^"]+)"', page.text))
    ids = set(re.findall(r'\bid="([^"]+)"', page.text))
    assert {target for target in targets if target.removeprefix("#") not in ids} == {"openapi.json"}
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


def _fits(document: dict[str, Any], name: str, answer: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator(schema).validate(answer)
