"""Files that a worker could not read to their end: the next goes on where it was left."""

from typing import Any

import pytest
from openai import OpenAI

from shared.db import Database
from shared.settings import Settings
from shared.store import ingestions as store
from tests.conftest import an_app, an_ingester
from tests.integration.worker.test_ingestion import MODEL, TEXT, now, put, rows, wait_no_longer
from tests.model_server import Handler, ModelServer, embed, fail
from worker.ingestion import Ingestions
from worker.lease import Lease

LONG = TEXT.encode() * 20  # two requests of the model and a few chunks


def embed_once(handler: Handler, body: dict[str, Any]) -> None:
    """And then no more for now."""
    handler.server.model.embed = fail(503)
    embed(handler, body)


@pytest.fixture
def begun(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
) -> tuple[str, str]:
    """A file of which a part was read when the model went away; it is back."""
    put_in = put(client, LONG)
    model_server.embed = embed_once
    with an_ingester(settings, database, lease, embedding_model=MODEL) as ingestions:
        assert ingestions.work_one()
    assert now(client, put_in).status == "in_progress"
    assert len(rows(database, "SELECT number FROM chunks")) == 64
    model_server.reset()
    wait_no_longer(database)
    return put_in


def test_what_was_begun_goes_on_where_it_was_left(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
    begun: tuple[str, str],
) -> None:
    with an_ingester(settings, database, lease, embedding_model=MODEL) as ingestions:
        assert ingestions.work_one()
    asked = [text for body in model_server.embedded for text in body["input"]]
    numbers = rows(database, "SELECT number FROM chunks ORDER BY number")
    assert numbers == list(range(64 + len(asked)))
    content = client.vector_stores.files.content(begun[1], vector_store_id=begun[0])
    assert "".join(str(page.text) for page in content.data).encode() == LONG
    assert rows(database, "SELECT number FROM chunks WHERE embedding IS NULL") == []


@pytest.mark.parametrize("model", ["another", ""])
def test_what_was_begun_with_another_model_begins_anew(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
    begun: tuple[str, str],
    model: str,
) -> None:
    with an_ingester(settings, database, lease, embedding_model=model) as ingestions:
        assert ingestions.work_one()
    chunks = rows(database, "SELECT embedding IS NOT NULL FROM chunks")
    assert len(chunks) > 64
    assert set(chunks) == {bool(model)}
    assert rows(database, "SELECT embedding_model FROM vector_store_files") == [model or None]
    assert now(client, begun).status == "completed"


def test_what_was_begun_is_not_found(
    client: OpenAI,
    settings: Settings,
    model_server: ModelServer,
    begun: tuple[str, str],
) -> None:
    with an_app(settings, embedding_model=MODEL) as app:
        answer = app.test_client().post(
            f"/v1/vector_stores/{begun[0]}/search",
            json={"query": "weaver"},
            headers={"Authorization": f"Bearer {client.api_key}"},
        )
    assert answer.json["data"] == []  # type: ignore[index]
    assert model_server.embedded == []


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_what_was_begun_and_ends_in_vain_is_deleted(
    database: Database, ingestions: Ingestions, lease: Lease, begun: tuple[str, str], end: str
) -> None:
    with database.transaction() as tx:
        held = store.claim(tx, lease.worker_id, "")
        assert held is not None
        if end == "fail":
            store.fail(tx, held, "server_error", "x")
        else:
            tx.execute("UPDATE vector_stores SET expires_at = now(), expires_after_days = 1")
    while ingestions.clear():
        pass
    assert rows(database, "SELECT number FROM chunks") == []
