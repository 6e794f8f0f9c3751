"""What holds for every request, whatever it asks for: addresses, methods, headers, bodies."""

import re
from contextlib import closing
from typing import Any

import httpx2
from flask import Flask

from shared.db import Database
from shared.ids import PREFIXES
from shared.settings import Settings
from tests.conftest import Caller, an_app, http_as
from tests.integration.wire import a_world, call, error_of, flaw, routes

UNPARSABLE = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using"
    " your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not"
    " valid JSON. If you have trouble figuring out how to fix this, please contact us through our"
    " help center at help.openai.com.)"
)


def test_an_unknown_url_is_named(app: Flask, caller: Caller) -> None:
    for path in ("/v1/foo", "/", "/v1", "/v2/threads", "/v1/threads/thread_x/nothing", "/v1/é"):
        assert error_of(call(app, caller.secret, "GET", path), 404) == {
            "message": f"Invalid URL (GET {path})",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


def test_a_doubled_slash_is_an_unknown_url_and_no_redirect(
    app: Flask, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    for method, path in (
        ("GET", "/v1/threads//messages"),
        ("POST", "/v1/threads//runs"),
        ("GET", f"/v1/threads/{world['thread_id']}//messages"),
        ("GET", "/v1//assistants"),
    ):
        error = error_of(call(app, caller.secret, method, path), 404)
        assert error["message"] == f"Invalid URL ({method} {path})"


def test_a_slash_at_the_end_changes_nothing(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    for path in ("assistants", f"threads/{world['thread_id']}/messages"):
        assert http.get(f"{path}/").json() == http.get(path).json()


def test_a_wrong_method_is_told_so_and_which_ones_there_are(http: httpx2.Client) -> None:
    for method, path, allowed in (
        ("GET", "threads", {"POST"}),
        ("PUT", "threads/thread_x", {"GET", "POST", "DELETE"}),
        ("PATCH", "assistants/asst_x", {"GET", "POST", "DELETE"}),
        ("DELETE", "threads/thread_x/messages", {"GET", "POST"}),
        ("DELETE", "threads/thread_x/runs/run_x", {"GET", "POST"}),
        ("POST", "threads/thread_x/runs/run_x/steps", {"GET"}),
    ):
        answer = http.request(method, path)
        assert error_of(answer, 405) == {
            "message": f"Not allowed to {method} on /v1/{path}."
            " (HINT: Perhaps you meant to use a different HTTP method?)",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
        assert set(answer.headers["allow"].split(", ")) - {"HEAD", "OPTIONS"} == allowed


def test_every_answer_carries_the_wires_headers(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "assistants", {}),
        ("POST", "threads", {"json": {}}),
        ("DELETE", f"threads/{world['thread_id']}", {}),
        ("POST", "threads", {"content": b"{"}),
        ("POST", "threads", {"json": {"x": 1}}),
        ("GET", "assistants", {"headers": {"Authorization": ""}}),
        ("GET", "threads/thread_x", {}),
        ("GET", "nothing", {}),
        ("PUT", "threads", {}),
        ("POST", "threads", {"content": b" " * (4 * 1024 * 1024 + 1)}),
    ]
    statuses: set[int] = set()
    request_ids: set[str] = set()
    for method, path, options in requests:
        answer = http.request(method, path, **options)
        statuses.add(answer.status_code)
        request_ids.add(answer.headers["x-request-id"])
        assert re.fullmatch("req_[0-9a-f]{32}", answer.headers["x-request-id"])
        assert answer.headers["openai-version"] == "2020-10-01"
        assert re.fullmatch("[0-9]+", answer.headers["openai-processing-ms"])
        assert answer.headers["content-type"] == "application/json"
    assert statuses == {200, 400, 401, 404, 405, 413}
    assert len(request_ids) == len(requests)


def test_answers_are_indented_by_two(http: httpx2.Client) -> None:
    assert http.get("assistants").text.startswith('{\n  "object": "list",\n  "')
    assert http.get("nothing").text.startswith('{\n  "error": {\n    "message": "')


def test_a_body_over_the_limit_is_refused_in_the_envelope(
    settings: Settings, caller: Caller
) -> None:
    with (
        an_app(settings, body_bytes=2048) as app,
        closing(http_as(app, caller.secret)) as http,
    ):
        for route in routes(app):
            if route.method == "POST" and not route.takes_a_form:
                ids = {name: f"{PREFIXES.get(name, 'file')}_x" for name in route.id_names}
                path = f"http://treadle{route.path(ids)}"
                error = error_of(http.post(path, content=b"[" * 2049), 413)
                assert error["message"], route
        assert http.post("threads", content=b"{}".ljust(2048)).status_code == 200


def test_an_empty_body_means_no_arguments(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    for kind in ({}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}):
        for path in (
            "threads",
            f"threads/{world['thread_id']}",
            f"assistants/{world['assistant_id']}",
        ):
            assert http.post(path, headers=kind).status_code == 200, (path, kind)
        error = error_of(http.post("assistants", headers=kind))
        assert error["message"] == "Missing required parameter: 'model'."


def test_a_body_is_json_whatever_it_says_it_is(http: httpx2.Client) -> None:
    body = '{"metadata": {"a": "é"}}'.encode()
    for kind in (
        "application/json; charset=latin-1",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "nonsense",
    ):
        made = http.post("threads", content=body, headers={"Content-Type": kind}).json()
        assert made["metadata"] == {"a": "é"}, kind
        assert error_of(http.post("threads", content=b"a=b", headers={"Content-Type": kind})) == {
            "message": UNPARSABLE,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }, kind


def test_the_beta_header_is_not_demanded_and_any_is_accepted(http: httpx2.Client) -> None:
    for headers in ({}, {"OpenAI-Beta": "assistants=v2"}, {"OpenAI-Beta": "assistants=v1"}):
        assert http.get("assistants", headers=headers).status_code == 200


def test_bytes_that_are_no_text_in_an_address_do_no_harm(app: Flask, caller: Caller) -> None:
    for environ in (
        {"QUERY_STRING": "after=\xff"},
        {"QUERY_STRING": "limit=\xc3"},
        {"QUERY_STRING": "limit=0&\xe9=1"},
        {"PATH_INFO": "/v1/threads/thread_\xff"},
        {"PATH_INFO": "/v1/\xff"},
    ):
        answer = call(app, caller.secret, "GET", "/v1/assistants", environ=environ)
        assert flaw(answer) is None, environ


def test_hostile_headers_do_no_harm(http: httpx2.Client) -> None:
    long = "x" * 10_000
    for headers in (
        {"Content-Length": "abc"},
        {"Content-Length": "-5"},
        {"Content-Encoding": "gzip"},
        {"Content-Type": long},
        {"Accept": "text/html"},
        {"Cookie": long},
        {"OpenAI-Beta": long},
        {"X-Stainless-Poll-Helper": long},
        {"Prefer": "wait=" + "9" * 5000},
        {"X-HTTP-Method-Override": "DELETE"},
        {"Range": "bytes=0-1"},
        {"If-None-Match": "*"},
        {"Host": "a b"},
    ):
        answer = http.post("threads", content=b'{"x": 1}', headers=headers)
        assert answer.status_code < 300 or flaw(answer) is None, headers
