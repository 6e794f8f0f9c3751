"""POST /vector_stores/{vector_store_id}/search"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from flask import Flask
from openai import OpenAI

from shared.db import Database
from shared.settings import Settings
from tests.conftest import Caller, an_app, an_ingester, client_as, http_as
from tests.integration.wire import error_of
from tests.model_server import ModelServer, fail
from worker.ingestion import Ingestions
from worker.lease import Lease

MODEL = "minilm"
TEXTS = {
    "loom.txt": "The loom has two treadles.",
    "sky.txt": "The sky is blue because air scatters short waves.",
    "tax.txt": "Invoices are due within thirty days.",
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, embedding_model=MODEL)


@pytest.fixture
def store_id(client: OpenAI, ingestions: Ingestions) -> str:
    return fill(client, ingestions)


def fill(client: OpenAI, ingestions: Ingestions) -> str:
    store = client.vector_stores.create(name="n")
    for number, (name, text) in enumerate(TEXTS.items()):
        file = client.files.create(file=(name, text.encode()), purpose="assistants")
        client.vector_stores.files.create(
            file_id=file.id, vector_store_id=store.id, attributes={"number": number}
        )
    while ingestions.work_one():
        pass
    return store.id


@pytest.fixture
def without_model(settings: Settings) -> Iterator[Flask]:
    with an_app(settings, embedding_model="") as app:
        yield app


def test_what_is_found_is_told_as_on_the_wire(client: OpenAI, store_id: str) -> None:
    page = client.vector_stores.search(store_id, query="why is the sky blue?", max_num_results=2)
    first, second = page.data
    assert first.to_dict() == {
        "file_id": first.file_id,
        "filename": "sky.txt",
        "score": 1.0,
        "attributes": {"number": 1},
        "content": [{"type": "text", "text": TEXTS["sky.txt"]}],
    }
    assert second.score < 1
    assert client.files.retrieve(first.file_id).filename == "sky.txt"


def test_several_questions_find_together_what_each_finds(
    client: OpenAI, http: httpx2.Client, store_id: str, model_server: ModelServer
) -> None:
    questions = ["two treadles", "due within thirty days"]
    page = client.vector_stores.search(store_id, query=questions)
    assert {one.filename for one in page.data[:2]} == {"loom.txt", "tax.txt"}
    assert len(page.data) == 3
    assert model_server.embedded[-1]["input"] == questions
    raw = http.post(f"vector_stores/{store_id}/search", json={"query": questions}).json()
    assert (raw["search_query"], raw["has_more"], raw["next_page"]) == (questions, False, None)


def test_filters_and_thresholds_leave_the_rest_out(client: OpenAI, store_id: str) -> None:
    def found(**asked: Any) -> set[str]:
        page = client.vector_stores.search(store_id, query="the loom, the sky", **asked)
        return {one.filename for one in page.data}

    assert found(filters={"type": "gte", "key": "number", "value": 1}) == {"sky.txt", "tax.txt"}
    assert found(ranking_options={"score_threshold": 0.9}) <= {"loom.txt", "sky.txt"}
    assert found(ranking_options={"ranker": "none", "score_threshold": 0.0}) == set(TEXTS)


def nested(depth: int, one: dict[str, Any]) -> dict[str, Any]:
    for _ in range(depth):
        one = {"type": "and", "filters": [one]}
    return one


def test_the_largest_filters_that_are_taken_are_applied(client: OpenAI, store_id: str) -> None:
    loom = {"type": "eq", "key": "number", "value": 0}
    for filters in (
        nested(30, loom),
        {"type": "or", "filters": [loom] * 255},
        {"type": "in", "key": "number", "value": [0, *("x" * 100 for _ in range(10_000))]},
    ):
        page = client.vector_stores.search(store_id, query="the loom, the sky", filters=filters)  # type: ignore[arg-type]
        assert [one.filename for one in page.data] == ["loom.txt"]


@pytest.mark.parametrize("value", [1e308, -1e308, 1e-300, 2**63, -(2**63), 0.1, "x" * 512, ""])
def test_an_attribute_at_its_limits_is_kept_and_found(
    client: OpenAI, store_id: str, value: float | str
) -> None:
    files = client.vector_stores.files
    (file,) = [one for one in files.list(store_id) if one.attributes == {"number": 0}]
    attributes = {"k" * 64: value, **{f"a{number}": number for number in range(15)}}
    files.update(file.id, vector_store_id=store_id, attributes=attributes)
    assert files.retrieve(file.id, vector_store_id=store_id).attributes == attributes
    page = client.vector_stores.search(
        store_id, query="the loom, the sky", filters={"type": "eq", "key": "k" * 64, "value": value}
    )
    assert [one.file_id for one in page.data] == [file.id]


def test_without_a_model_words_alone_are_asked(
    without_model: Flask, caller: Caller, store_id: str, model_server: ModelServer
) -> None:
    asked = len(model_server.embedded)
    with client_as(without_model, caller.secret) as client:
        page = client.vector_stores.search(store_id, query="any treadle?")
    assert [one.filename for one in page.data] == ["loom.txt"]
    assert len(model_server.embedded) == asked


def test_where_there_are_no_vectors_none_is_asked_for(
    client: OpenAI, settings: Settings, database: Database, lease: Lease, model_server: ModelServer
) -> None:
    with an_ingester(settings, database, lease, embedding_model="") as ingestions:
        store_id = fill(client, ingestions)
    page = client.vector_stores.search(store_id, query="any treadle?")
    assert [one.filename for one in page.data] == ["loom.txt"]
    assert model_server.embedded == []


def test_a_model_that_cannot_answer_is_told_and_a_repeat_may_help(
    app: Flask, caller: Caller, store_id: str, model_server: ModelServer
) -> None:
    model_server.embed = fail(500, "secret words")
    with http_as(app, caller.secret) as http:
        answer = http.post(f"vector_stores/{store_id}/search", json={"query": "x"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "secret" not in answer.text


def test_a_search_is_a_use_of_the_store(client: OpenAI, database: Database, store_id: str) -> None:
    client.vector_stores.update(store_id, expires_after={"anchor": "last_active_at", "days": 2})
    with database.autocommit() as tx:
        tx.execute(
            "UPDATE vector_stores SET last_active_at = now() - interval '1 day',"
            " expires_at = now() + interval '1 day'"
        )
    old = client.vector_stores.retrieve(store_id)
    client.vector_stores.search(store_id, query="x")
    used = client.vector_stores.retrieve(store_id)
    assert (used.last_active_at or 0) - (old.last_active_at or 0) >= 86400 - 5
    assert used.expires_at == (used.last_active_at or 0) + 2 * 86400


def test_a_store_that_has_expired_is_not_searched(
    client: OpenAI, http: httpx2.Client, database: Database, store_id: str
) -> None:
    client.vector_stores.update(store_id, expires_after={"anchor": "last_active_at", "days": 2})
    with database.autocommit() as tx:
        tx.execute("UPDATE vector_stores SET expires_at = now()")
    error = error_of(http.post(f"vector_stores/{store_id}/search", json={"query": "x"}))
    assert error["message"] == f"Vector store '{store_id}' has expired."


A_FILTER = {"type": "eq", "key": "a", "value": 1}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "query", "missing_required_parameter"),
        ({"query": ""}, "query", "invalid_value"),
        ({"query": []}, "query", "empty_array"),
        ({"query": ["a", ""]}, "query[1]", "invalid_value"),
        ({"query": ["a", 1]}, "query[1]", "invalid_type"),
        ({"query": ["a"] * 17}, "query", "array_above_max_length"),
        ({"query": "a" * 8193}, "query", "string_above_max_length"),
        ({"query": {"a": 1}}, "query", "invalid_type"),
        ({"query": "a", "max_num_results": 51}, "max_num_results", "integer_above_max_value"),
        ({"query": "a", "max_num_results": 0}, "max_num_results", "integer_below_min_value"),
        ({"query": "a", "ranking_options": {"ranker": "best"}}, "ranking_options.ranker", "invalid_value"),
        ({"query": "a", "ranking_options": {"score_threshold": 1.1}}, "ranking_options.score_threshold", "decimal_above_max_value"),
        ({"query": "a", "filters": []}, "filters", "invalid_type"),
        ({"query": "a", "filters": {}}, "filters.type", "missing_required_parameter"),
        ({"query": "a", "filters": {"type": "like", "key": "a", "value": 1}}, "filters.type", "invalid_value"),
        ({"query": "a", "filters": {"type": "eq", "key": "a"}}, "filters.value", "missing_required_parameter"),
        ({"query": "a", "filters": {"type": "eq", "key": "a", "value": [1]}}, "filters.value", "invalid_type"),
        ({"query": "a", "filters": {"type": "eq", "key": "a", "value": None}}, "filters.value", "invalid_type"),
        ({"query": "a", "filters": {"type": "in", "key": "a", "value": 1}}, "filters.value", "invalid_type"),
        ({"query": "a", "filters": {"type": "in", "key": "a", "value": [[1]]}}, "filters.value", "invalid_type"),
        ({"query": "a", "filters": {"type": "and"}}, "filters.filters", "missing_required_parameter"),
        ({"query": "a", "filters": {"type": "and", "filters": []}}, "filters.filters", "empty_array"),
        ({"query": "a", "filters": {"type": "and", "filters": [None]}}, "filters.filters[0]", "invalid_type"),
        ({"query": "a", "filters": {"type": "or", "filters": [A_FILTER, {"type": "eq", "key": 1, "value": 1}]}}, "filters.filters[1].key", "invalid_type"),
        ({"query": "a", "filters": {"type": "or", "filters": [{"type": "or", "filters": [A_FILTER] * 150}] * 2}}, "filters", "invalid_value"),
        ({"query": "a", "filters": nested(40, A_FILTER)}, "filters", "invalid_value"),
        ({"query": "a", "filters": nested(100, A_FILTER)}, "filters", "invalid_value"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(
    http: httpx2.Client, body: dict[str, Any], param: str, code: str
) -> None:
    store_id = http.post("vector_stores", json={}).json()["id"]
    error = error_of(http.post(f"vector_stores/{store_id}/search", json=body))
    assert (error["param"], error["code"]) == (param, code)
