"""What the model for embeddings may be asked, by the settings and by its server: files wait for it,
and leave a part of it to searches."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
import redis
from openai import OpenAI

from shared.db import Database
from shared.settings import Settings
from shared.tokens import estimate
from tests.conftest import Caller, a_worker, an_app, an_ingester, http_as
from tests.integration.openai.test_file_search import a_store, an_assistant, ask, be_due, search
from tests.integration.openai.test_file_search import now as run_now
from tests.integration.test_metrics import counted
from tests.integration.worker.test_ingestion import MODEL, TEXT, now, put, rows, wait_no_longer
from tests.integration.worker.test_model_limits import end_pauses, pause_of
from tests.model_server import Handler, ModelServer, embed, fail, say
from worker.lease import Lease

LONG = TEXT.encode() * 60  # six requests of the model


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, embedding_model=MODEL)


def begin_a_minute(settings: Settings, database: Database) -> None:
    """In which nothing was asked yet."""
    with redis.Redis.from_url(settings.redis_url) as connection:
        connection.flushall()
    end_pauses(database)
    wait_no_longer(database)


def test_a_file_beyond_the_requests_of_a_minute_waits_and_goes_on_and_is_not_charged_for_it(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    put_in, other = put(client, LONG), put(client)
    held_back = counted("treadle_model_held_back_total", model=MODEL, kind="requests")
    with an_ingester(settings, database, lease, model_requests_per_minute=4) as ingestions:
        assert ingestions.work_one()
        assert len(model_server.embedded) == 3
        assert (now(client, put_in).status, pause_of(database) > 5) == ("in_progress", True)
        # Nobody tries another one, which would be read for nothing.
        wait_no_longer(database)
        assert not ingestions.work_one()
        begin_a_minute(settings, database)
        while ingestions.work_one():
            pass
        begin_a_minute(settings, database)
        while ingestions.work_one():
            pass
    assert counted("treadle_model_held_back_total", model=MODEL, kind="requests") > held_back
    assert [now(client, one).status for one in (put_in, other)] == ["completed"] * 2
    assert rows(database, "SELECT sum(failures)::int FROM vector_store_files") == [0]
    texts = [text for body in model_server.embedded for text in body["input"]]
    assert len(texts) == len(rows(database, "SELECT number FROM chunks"))


def test_files_leave_a_part_of_the_minute_to_searches(
    client: OpenAI,
    caller: Caller,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    limited = replace(settings, model_requests_per_minute=8)
    store_id, _ = put(client)
    file = client.files.create(file=("b.txt", LONG), purpose="assistants")
    client.vector_stores.files.create(file_id=file.id, vector_store_id=store_id)
    with an_ingester(limited, database, lease) as ingestions:
        while ingestions.work_one():
            pass
    assert len(model_server.embedded) == 6
    with an_app(limited) as app, http_as(app, caller.secret) as http:
        answers = [search_for(http, store_id) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert "asked as often as it may be" in answers[2].json()["error"]["message"]
    assert int(answers[2].headers["retry-after"]) > 5


def search_for(http: httpx2.Client, store_id: str) -> httpx2.Response:
    return http.post(f"vector_stores/{store_id}/search", json={"query": "weft"})


def test_a_request_has_no_more_of_a_file_than_the_tokens_of_a_minute(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    put(client, LONG)
    with an_ingester(settings, database, lease, model_tokens_per_minute=4000) as ingestions:
        assert ingestions.work_one()
        (body,) = model_server.embedded
        assert 2000 < sum(map(estimate, body["input"])) <= 3000
        begin_a_minute(settings, database)
        assert ingestions.work_one()
    assert len(model_server.embedded) == 2


@pytest.mark.parametrize("limit", ["model_requests_per_minute", "model_tokens_per_minute"])
def test_a_chunk_that_alone_is_more_than_a_minute_takes_is_read_all_the_same(
    client: OpenAI, settings: Settings, database: Database, lease: Lease, limit: str
) -> None:
    put_in = put(client, b"The weft. " * 100)
    with an_ingester(settings, database, lease, **{limit: 1}) as ingestions:
        assert ingestions.work_one()
    assert now(client, put_in).status == "completed"


@pytest.mark.parametrize(
    "twenty_seconds",
    [lambda: "20", lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_model_whose_server_said_retry_after_is_left_alone_by_all_files(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
    status: int,
    twenty_seconds: Callable[[], str],
) -> None:
    put(client)
    put_in = put(client)
    model_server.embed = fail(status, "slow down", {"Retry-After": twenty_seconds()})
    with an_ingester(settings, database, lease) as ingestions:
        assert ingestions.work_one()
        assert 10 < pause_of(database) <= 20
        assert not ingestions.work_one()
        model_server.reset()
        end_pauses(database)
        assert ingestions.work_one()
    assert now(client, put_in).status == "completed"


def embed_last(handler: Handler, body: dict[str, Any]) -> None:
    """And there is nothing left."""
    used_up = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20s"}
    send_json = handler.send_json
    handler.send_json = lambda status, body, _=None: send_json(status, body, used_up)  # type: ignore[method-assign]
    embed(handler, body)
    del handler.send_json


@pytest.mark.parametrize(("content", "status"), [(LONG, "in_progress"), (b"weft", "completed")])
def test_a_model_whose_server_has_nothing_left_is_asked_when_it_has(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
    content: bytes,
    status: str,
) -> None:
    put_in = put(client, content)
    put(client)
    model_server.embed = embed_last
    with an_ingester(settings, database, lease) as ingestions:
        assert ingestions.work_one()
        assert not ingestions.work_one()
    assert now(client, put_in).status == status
    assert 10 < pause_of(database) <= 20
    assert len(model_server.embedded) == 1


@pytest.mark.parametrize("by", ["its Retry-After", "what it has left"])
def test_a_search_that_hears_of_it_tells_those_that_read_files(
    client: OpenAI,
    caller: Caller,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
    by: str,
) -> None:
    with an_ingester(settings, database, lease) as ingestions:
        store_id = a_store(client, ingestions, loom="The loom has two treadles.")
        hears = by == "what it has left"
        model_server.embed = embed_last if hears else fail(429, "", {"Retry-After": "20"})
        with an_app(settings) as app, http_as(app, caller.secret) as http:
            answer = search_for(http, store_id)
        assert answer.status_code == (200 if hears else 503)
        assert hears or answer.headers["retry-after"] == "20"
        assert 10 < pause_of(database) <= 20
        put(client)
        assert not ingestions.work_one()


def test_a_run_whose_search_is_to_wait_leaves_its_own_model_to_others(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    with an_ingester(settings, database, lease) as ingestions:
        store_id = a_store(client, ingestions, loom="The loom has two treadles.")
    run = ask(client, an_assistant(client, store_id))
    model_server.embed = fail(429, "", {"Retry-After": "20"})
    model_server.script(say(None, tool_calls=[search("treadles")]))
    with a_worker(settings, database, lease) as worker:
        worker.answer()
        assert run_now(client, run).status == "in_progress"
        assert rows(database, "SELECT model FROM model_pauses") == [MODEL]
        other = ask(client, an_assistant(client, None))
        worker.answer()
        assert run_now(client, other).status == "completed"
        # Somebody waits for it, so it is not for the pause that it waits.
        model_server.embed = embed_last
        model_server.script(say(None, tool_calls=[search("treadles")]), say("Two."))
        be_due(database)
        worker.answer()
    assert run_now(client, run).status == "completed"


def test_calls_for_embeddings_are_counted_as_those_of_any_model(
    client: OpenAI, settings: Settings, database: Database, lease: Lease
) -> None:
    calls = counted("treadle_model_seconds_count", model=MODEL)
    tokens = counted("treadle_model_tokens_total", model=MODEL, kind="prompt")
    put(client, LONG)
    with an_ingester(settings, database, lease) as ingestions:
        assert ingestions.work_one()
    assert counted("treadle_model_seconds_count", model=MODEL) == calls + 6
    assert counted("treadle_model_tokens_total", model=MODEL, kind="prompt") == tokens + 6
