"""Who may call: the key in the Authorization header."""

import re
from contextlib import closing

import httpx2
import pytest
from flask import Flask
from openai import AuthenticationError

from api import auth
from shared.db import Database
from shared.store import callers
from tests.conftest import Caller, a_caller, client_as, http_as
from tests.integration.wire import call, error_of, routes

NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header"
    " using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank"
    " username) if you're accessing the API from your browser and are prompted for a username and"
    " password. You can obtain an API key from https://platform.openai.com/account/api-keys."
)
WRONG_KEY = (
    "Incorrect API key provided: {}. You can find your API key at"
    " https://platform.openai.com/account/api-keys."
)


def answer_to(app: Flask, authorization: str) -> httpx2.Response:
    headers = {"Authorization": authorization}
    return call(app, "", "GET", "/v1/assistants", headers=headers)


def test_a_request_without_a_key_is_told_how_to_give_one(app: Flask, caller: Caller) -> None:
    with closing(http_as(app, "")) as http:
        assert error_of(http.get("assistants"), 401) == {
            "message": NO_KEY,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    for authorization in ("", "Bearer", "Bearer ", "Basic Og==", caller.secret, "Bearer\t"):
        error = error_of(answer_to(app, authorization), 401)
        assert error["message"] == NO_KEY, authorization


def test_a_wrong_key_is_shown_by_its_ends_only(app: Flask) -> None:
    for key, masked in (
        ("not-a-real-key-but-one-that-is-recognized", "not-a-re" + "*" * 29 + "ized"),
        ("tr-" + "x" * 44, "tr-xxxxx" + "*" * 35 + "xxxx"),
        ("1234567890123", "12345678*0123"),
        ("123456789012", "*" * 12),
        ("x", "*"),
    ):
        assert error_of(answer_to(app, f"Bearer {key}"), 401) == {
            "message": WRONG_KEY.format(masked),
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }, key


def test_what_only_resembles_a_key_is_wrong(app: Flask, caller: Caller) -> None:
    for resembling in (
        caller.secret + "x",
        caller.secret[:-1],
        caller.secret.upper(),
        caller.secret + " " + caller.secret,
        caller.secret + " tail",
        # Two Authorization headers arrive as one.
        f"{caller.secret}, Bearer {caller.secret}",
        "é" * 47,
        caller.secret[:-1] + "\xff",
        "x" * 10_000,
        "' OR true --",
        "%00",
    ):
        error = error_of(answer_to(app, f"Bearer {resembling}"), 401)
        assert error["code"] == "invalid_api_key", resembling
        assert caller.secret[8:-4] not in error["message"], resembling
        assert len(error["message"]) < 500, resembling


def test_the_scheme_may_be_written_in_any_case(app: Flask, caller: Caller) -> None:
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        assert answer_to(app, f"{scheme} {caller.secret}").status_code == 200, scheme
    assert answer_to(app, f"Bearer  {caller.secret} ").status_code == 200


def test_each_of_two_keys_opens_its_own_project(
    app: Flask, database: Database, caller: Caller
) -> None:
    other = a_caller(database, "other")
    names = {caller.secret: "Ada", other.secret: "Bob"}
    for secret, name in names.items():
        with closing(client_as(app, secret)) as client:
            client.beta.assistants.create(model="m", name=name)
    for secret, name in names.items():
        with closing(client_as(app, secret)) as client:
            assert [one.name for one in client.beta.assistants.list()] == [name]


def test_a_revoked_key_opens_nothing(app: Flask, database: Database) -> None:
    revoked = a_caller(database, "revoked")
    with database.transaction() as tx:
        tx.execute("UPDATE keys SET revoked_at = now() WHERE name = 'revoked'")
    with (
        closing(client_as(app, revoked.secret)) as client,
        pytest.raises(AuthenticationError) as caught,
    ):
        client.beta.assistants.list()
    assert caught.value.code == "invalid_api_key"


def test_a_key_that_was_used_is_refused_soon_after_it_is_revoked(
    app: Flask, database: Database, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REMEMBERED_SECONDS", 0.0)
    assert answer_to(app, f"Bearer {caller.secret}").status_code == 200
    with database.transaction() as tx:
        key = callers.find(tx, caller.secret)
        assert key is not None
        callers.revoke(tx, key.id)
    assert answer_to(app, f"Bearer {caller.secret}").status_code == 401


def test_a_key_is_remembered_for_seconds_only() -> None:
    assert 0 < auth.REMEMBERED_SECONDS <= 10


def test_every_route_asks_for_a_key_before_it_looks_at_anything_else(app: Flask) -> None:
    with closing(http_as(app, "")) as http:
        for route in routes(app):
            ids = dict.fromkeys(route.id_names, "x\0")
            path = f"http://treadle{route.path(ids)}?limit=x"
            answer = http.request(route.method, path, content=b"{")
            assert error_of(answer, 401)["message"] == NO_KEY, route


def test_nothing_but_health_and_documentation_is_shown_without_a_key(app: Flask) -> None:
    open_to_all: set[str] = set()
    with closing(http_as(app, "")) as http:
        for rule in app.url_map.iter_rules():
            path = re.sub(r"<[^>]*>", "x", rule.rule)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                if http.request(method, f"http://treadle{path}").status_code != 401:
                    open_to_all.add(rule.rule)
    assert open_to_all - {"/opengpts/ok", "/opengpts/health"} == {
        "/healthz",
        "/readyz",
        "/docs",
        "/openapi.json",
    }
