"""The OpenAI-Beta header: not missed by default, demanded with TREADLE_STRICT_BETA."""

from collections.abc import Iterator

import httpx2
import pytest
from flask import Flask

from shared.errors import SettingsError
from shared.settings import Settings
from tests.conftest import Caller, an_app, client_as, http_as

BETA = {"OpenAI-Beta": "assistants=v2"}


@pytest.fixture
def strict_app(settings: Settings) -> Iterator[Flask]:
    with an_app(settings, strict_beta=True) as app:
        yield app


@pytest.fixture
def strict(strict_app: Flask, caller: Caller) -> Iterator[httpx2.Client]:
    with http_as(strict_app, caller.secret) as client:
        yield client


def test_by_default_nobody_has_to_send_it(http: httpx2.Client) -> None:
    assert "OpenAI-Beta" not in http.headers
    assert http.get("assistants").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "assistants"),
        ("POST", "assistants"),
        ("POST", "threads"),
        ("GET", "threads/thread_1/messages"),
        ("POST", "threads/runs"),
        ("GET", "threads/thread_1/runs/run_1"),
        ("GET", "threads/thread_1/runs/run_1/steps"),
    ],
)
def test_strictly_a_call_without_it_is_refused(
    strict: httpx2.Client, method: str, path: str
) -> None:
    answer = strict.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the header 'OpenAI-Beta: assistants=v2'.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_beta",
    }


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("assistants=v2", 200),
        ("realtime=v1, assistants=v2", 200),
        ("assistants=v1", 400),
        ("assistants=v22", 400),
        ("", 400),
    ],
)
def test_strictly_it_must_name_version_two(strict: httpx2.Client, sent: str, status: int) -> None:
    assert strict.get("assistants", headers={"OpenAI-Beta": sent}).status_code == status


def test_strictly_the_official_client_sends_it(strict_app: Flask, caller: Caller) -> None:
    with client_as(strict_app, caller.secret) as client:
        assert client.beta.assistants.list().data == []


def test_the_key_is_judged_before_it_and_the_body_after(
    strict_app: Flask, strict: httpx2.Client
) -> None:
    with http_as(strict_app, "") as stranger:
        assert stranger.get("assistants").status_code == 401
    assert strict.post("threads", content=b"{").json()["error"]["code"] == "invalid_beta"
    parsed = strict.post("threads", content=b"{", headers=BETA).json()["error"]
    assert parsed["message"].startswith("We could not parse the JSON body of your request.")
    assert strict.get("threads/undefined").json()["error"]["code"] == "invalid_beta"


def test_strictly_models_and_azures_paths_go_without(strict: httpx2.Client) -> None:
    assert strict.get("models").status_code == 200
    assert strict.get("http://treadle/openai/assistants").status_code == 200
    assert strict.get("http://treadle/openai/v1/assistants").status_code == 200
    assert strict.get("http://treadle/assistants").status_code == 400


@pytest.mark.parametrize(
    ("text", "strict_beta"),
    [("1", True), ("true", True), ("ON", True), ("0", False), ("False", False), ("", False)],
)
def test_the_switch_is_read_from_the_environment(text: str, strict_beta: bool) -> None:
    assert Settings.from_env({"TREADLE_STRICT_BETA": text}).strict_beta is strict_beta


def test_a_switch_that_is_neither_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="TREADLE_STRICT_BETA must be 1 or 0; it is 'maybe'"):
        Settings.from_env({"TREADLE_STRICT_BETA": "maybe"})
