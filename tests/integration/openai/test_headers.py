"""The headers that every answer carries."""

import httpx2
import pytest
from flask import Flask, abort

from shared.errors import Unavailable


def test_every_answer_names_its_request(http: httpx2.Client) -> None:
    for path in ("assistants", "assistants/asst_none", "nothing"):
        answer = http.get(path, headers={"x-request-id": "mine"})
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["openai-version"] == "2020-10-01"
        assert int(answer.headers["openai-processing-ms"]) >= 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "assistants", 400),
        ("GET", "assistants/asst_none", 404),
        ("GET", "nothing", 404),
        ("PUT", "assistants", 405),
        ("GET", "http://treadle/403", 403),
        ("GET", "http://treadle/500", 500),
    ],
)
def test_where_a_repeat_is_vain_it_is_said(
    app: Flask, http: httpx2.Client, method: str, path: str, status: int
) -> None:
    _raise_at(app, "/500", ZeroDivisionError())
    app.add_url_rule("/403", "forbidden", lambda: abort(403))
    answer = http.request(method, path, json={} if method == "POST" else None)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "false")


def test_a_wrong_key_and_a_large_body_are_not_worth_a_repeat(http: httpx2.Client) -> None:
    wrong = http.get("assistants", headers={"Authorization": "Bearer tr-wrong"})
    large = http.post("assistants", content=b" " * (4 * 1024 * 1024 + 1))
    assert (wrong.status_code, large.status_code) == (401, 413)
    assert wrong.headers["x-should-retry"] == large.headers["x-should-retry"] == "false"


def test_where_a_repeat_may_help_nothing_is_said(app: Flask, http: httpx2.Client) -> None:
    _raise_at(app, "/503", Unavailable("PostgreSQL is away."))
    app.add_url_rule("/429", "too_many", lambda: abort(429))
    for status in (429, 503):
        answer = http.get(f"http://treadle/{status}")
        assert answer.status_code == status
        assert "x-should-retry" not in answer.headers
    assert "x-should-retry" not in http.get("assistants").headers


def _raise_at(app: Flask, path: str, error: Exception) -> None:
    def view() -> str:
        raise error

    app.add_url_rule(path, path.strip("/"), view)
