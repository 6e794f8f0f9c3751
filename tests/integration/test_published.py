"""The published interface: that answers are held against it, and Treadle's own document beside it."""

import ast
import re
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from flask import Flask, Response

from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller, http_as
from tests.factories import a_run
from tests.published import interface
from tests.published.comparison import differences, inlined
from tests.published.deviations import DEVIATIONS
from tests.published.plugin import Published
from tests.published.recording import Recording, recorded

EVENTS = "text/event-stream; charset=utf-8"
DONE = "event: done\ndata: [DONE]\n\n"
RUN = "/v1/threads/thread_x/runs/run_x"

# What the own document says of answers otherwise than is published, by the reason why.
DIFFERENCES = {
    "No tool but functions and file_search is built.": {
        "AssistantObject.tools[] lacks the kinds (code_interpreter)",
        "RunObject.tools[] lacks the kinds (code_interpreter)",
        "RunStepObject.step_details(tool_calls).tool_calls[] lacks the kinds (code_interpreter)",
        "MessageObject.content[](text).text.annotations[] lacks the kinds (file_path)",
    },
    "Shown by the schema of the request that took it, which leaves out what has a default.": {
        "AssistantObject.tools[](function).function lacks the always there parameters, strict",
        "RunObject.tools[](function).function lacks the always there parameters, strict",
        "RunObject.truncation_strategy lacks the always there last_messages",
        "AssistantObject.tools[](file_search) lacks the always there file_search",
        "AssistantObject.tools[](file_search).file_search lacks the always there ranking_options",
        "AssistantObject.tools[](file_search).file_search.ranking_options lacks the always there"
        " ranker",
        "RunObject.tools[](file_search) lacks the always there file_search",
        "RunObject.tools[](file_search).file_search lacks the always there ranking_options",
        "RunObject.tools[](file_search).file_search.ranking_options lacks the always there ranker",
        "AssistantObject.tool_resources.file_search has the names vector_stores",
        "RunObject.tool_resources.file_search has the names vector_stores",
        "ThreadObject.tool_resources.file_search has the names vector_stores",
    },
    "Chunks are cut by tokens, which is told.": {
        "VectorStoreFileObject.chunking_strategy lacks the kinds (other)",
    },
    "One object is described for all of its kinds.": {
        "AssistantObject.response_format has the kinds (one)",
        "AssistantObject.response_format lacks the kinds (json_object), (json_schema), (text)",
        "RunObject.response_format has the kinds (one)",
        "RunObject.response_format lacks the kinds (json_object), (json_schema), (text)",
        "MessageObject.attachments[].tools[] has the kinds (one)",
        "MessageObject.attachments[].tools[] lacks the kinds (code_interpreter), (file_search)",
    },
}


def test_the_own_document_says_of_every_answer_what_is_published(app: Flask) -> None:
    with http_as(app, "") as http:
        document = http.get("http://treadle/openapi.json").json()
    # Published, the id of a batch of files has the name of another kind of batch's.
    own = {
        f"{method.upper()} {path.removeprefix('/v1')}".replace(
            "{file_batch_id}", "{batch_id}"
        ): operation["responses"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }
    assert own.keys() == {
        *interface.OPERATIONS,
        *interface.OWN_STREAMS,
        *interface.BYTES,
    }
    found: set[str] = set()
    for name, schema in interface.OPERATIONS.items():
        responses = inlined(own[name], document)
        streamed = "text/event-stream" in responses["200"]["content"]
        assert streamed == interface.streams(name), name
        for status, answer in (("200", schema), ("default", interface.INTERFACE["error"])):
            shown = responses[status]["content"]["application/json"]["schema"]
            found |= set(differences(interface.schema_of(answer), shown, answer))
    # An object in a list is the object.
    found = {re.sub(r"^List(\w+)sResponse\.data\[\]", r"\1Object", one) for one in found}
    assert found == set().union(*DIFFERENCES.values())


@pytest.mark.parametrize(("why", "patch"), DEVIATIONS, ids=[why for why, _ in DEVIATIONS])
def test_every_deviation_is_one_from_what_is_published(why: str, patch: dict[str, Any]) -> None:
    for place, changes in patch.items():
        for name, change in changes.items():
            published = interface.PUBLISHED[place][name]
            assert interface.laid_over(published, change) != published, name


def answered(*answers: tuple[str, str, int, str, str]) -> list[str]:
    """What is found wrong with these: method, path, status, content type and body."""
    recording = Recording()
    for method, path, status, kind, body in answers:
        app = recorded(Flask("x"), recording)
        answer = Response(body, status, content_type=kind)
        app.before_request(lambda answer=answer: answer)
        app.test_client().open(path, method=method).get_data()
    return recording.flaws()


@pytest.fixture
def run(http: httpx2.Client, database: Database, caller: Caller) -> dict[str, Any]:
    run = a_run(database, caller.project_id, status=RunStatus.QUEUED)
    return http.get(f"threads/{run.thread_id}/runs/{run.id}").json()


def test_an_answer_that_fits_has_no_flaw(run: dict[str, Any]) -> None:
    body = orjson.dumps(run).decode()
    told = f"event: thread.run.created\ndata: {body}\n\n: keep-alive\n\n{DONE}"
    numbered = f"id: 1.0\nevent: thread.run.queued\ndata: {body}\n\n{DONE}"
    assert not answered(
        ("GET", RUN, 200, "application/json", body),
        ("POST", "/openai/v1/threads/runs", 200, EVENTS, told),
        ("GET", f"{RUN}/events", 200, EVENTS, numbered),
        ("GET", "/readyz", 200, "text/html", "x"),
        ("GET", "/opengpts/threads/x", 200, "text/html", "x"),
    )


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"extra": 1}, "$: Additional properties are not allowed ('extra' was unexpected)"),
        ({"usage": ...}, "$: 'usage' is a required property"),
        ({"status": "done"}, "$.status: 'done' is not one of ['queued', 'in_progress', "),
        ({"created_at": 1.5}, "$.created_at: 1.5 is not of type 'integer'"),
        ({"created_at": 1_700_000_000_000}, "$.created_at: 1700000000000 is greater than"),
        ({"model": None}, "$.model: None is not of type 'string'"),
        ({"id": "run_1"}, "$.id: 'run_1' does not match '^run_[A-Za-z0-9]{24}$'"),
        ({"tool_choice": {"type": "function", "x": 1}}, "$.tool_choice: Additional properties"),
    ],
)
def test_a_name_a_type_or_a_word_that_is_not_published_is_a_flaw(
    run: dict[str, Any], changes: dict[str, Any], flaw: str
) -> None:
    changed = {name: value for name, value in {**run, **changes}.items() if value is not ...}
    body = orjson.dumps(changed).decode()
    (found,) = answered(("GET", RUN, 200, "application/json", body))
    assert found.startswith(f"GET {RUN} answered 200, but {flaw}")
    (found,) = answered(("POST", "/threads/runs", 200, EVENTS, frame("thread.run.created", body)))
    assert found.startswith(f"POST /threads/runs answered 200, but thread.run.created: {flaw}")


def frame(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n{DONE}"


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "body", "flaw"),
    [
        (
            "GET",
            "/v1/files/file-x/parts",
            200,
            "application/json",
            "{}",
            "no such operation is published",
        ),
        ("PUT", RUN, 200, "application/json", "{}", "no such operation is published"),
        ("GET", RUN, 201, "application/json", "{}", "200 is the only success that is published"),
        ("GET", RUN, 200, "text/html", "{}", "not with JSON but text/html"),
        ("GET", RUN, 200, EVENTS, DONE, "it does not stream"),
        ("GET", "/v1/files/file-x/content", 204, "application/octet-stream", "", "200 and 206 are"),
        ("GET", "/v1/files/file-x/content", 200, "text/html", "", "not with bytes but text/html"),
        ("GET", RUN, 404, "application/json", "{}", "$: 'error' is a required property"),
        ("GET", f"{RUN}/events", 200, "application/json", "{}", "not with events but app"),
        ("POST", "/v1/threads/runs", 200, EVENTS, frame("thread.run.left", "{}"), "thread.run."),
        ("POST", "/v1/threads/runs", 200, EVENTS, f"id: 1.0\n{DONE}", "this is no event: 'id"),
        ("POST", "/v1/threads/runs", 200, EVENTS, "event: done\n", "its stream ends with"),
        (
            *("POST", "/v1/threads/runs", 200, EVENTS),
            frame("error", '{"message": "", "type": "server_error", "param": null, "code": null}'),
            "error: $: ",
        ),
    ],
)
def test_an_answer_where_another_is_published_is_a_flaw(
    method: str, path: str, status: int, kind: str, body: str, flaw: str
) -> None:
    found = answered((method, path, status, kind, body))
    assert found[0].startswith(f"{method} {path} answered {status}, but {flaw}")


def test_an_event_whose_object_has_another_status_is_a_flaw(run: dict[str, Any]) -> None:
    body = orjson.dumps(run).decode()
    (found,) = answered(
        ("POST", "/threads/runs", 200, EVENTS, frame("thread.run.in_progress", body))
    )
    assert "thread.run.in_progress: $.status: 'in_progress' was expected" in found


def test_the_test_that_was_answered_fails(pytestconfig: pytest.Config) -> None:
    recording = Recording()
    a_test = Published(pytestconfig, recording).pytest_runtest_call()
    next(a_test)
    recording.begin("GET", "/v1/parts").status = 200
    with pytest.raises(pytest.fail.Exception, match="no such operation"):
        a_test.send(None)


def test_no_test_has_a_client_of_its_own_that_is_not_recorded() -> None:
    """An application comes from `an_app`, and the official client is given the HTTP it uses. Those
    who work under faults have a judge of their own, and other people's clients are as they are."""
    found: list[str] = []
    tests = Path(__file__).parents[1]
    own = {*tests.rglob("*.py")} - {
        file for other in ("faults", "clients", "bench") for file in (tests / other).rglob("*.py")
    }
    for file in own:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                given = {keyword.arg for keyword in node.keywords}
                if node.func.id == "create_app" and file.name != "conftest.py":
                    found.append(f"{file.name}:{node.lineno}")
                if node.func.id.endswith("OpenAI") and "http_client" not in given:
                    found.append(f"{file.name}:{node.lineno}")
    assert found == []
