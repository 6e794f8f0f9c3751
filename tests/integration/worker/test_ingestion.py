"""How a worker reads the files of vector stores, and what may happen to it meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import OpenAI
from openai.types.vector_stores import VectorStoreFile

from shared import queue
from shared.blobs import open_blobs
from shared.db import Database, Session
from shared.errors import LeaseLost
from shared.settings import Settings
from shared.store import ingestions as store
from shared.store import workers
from shared.store.chunks import Piece
from tests.conftest import Caller, a_caller, an_ingester
from tests.factories import a_file, a_vector_store
from tests.model_server import ModelServer, fail, send, stall, vector_of
from tests.places import in_both
from worker.ingestion import Ingestions
from worker.lease import Lease
from worker.sweep import sweep

TEXT = "The weaver passes the weft through the shed. " * 150
MODEL = "minilm"


def put(client: OpenAI, content: bytes = TEXT.encode(), name: str = "a.txt", **more: Any) -> Any:
    """A store, and the file in it."""
    file = client.files.create(file=(name, content), purpose="assistants")
    made = client.vector_stores.create(name="n")
    added = client.vector_stores.files.create(file_id=file.id, vector_store_id=made.id, **more)
    return made.id, added.id


def now(client: OpenAI, put_in: tuple[str, str]) -> VectorStoreFile:
    return client.vector_stores.files.retrieve(put_in[1], vector_store_id=put_in[0])


def rows(database: Database, select: str) -> list[Any]:
    with database.autocommit() as tx:
        return tx.values(select)  # type: ignore[arg-type]


def wait_no_longer(database: Database) -> None:
    with database.autocommit() as tx:
        tx.execute("UPDATE vector_store_files SET ingest_after = '-infinity'")


def lose_all_workers(database: Database, settings: Settings) -> None:
    with database.autocommit() as tx:
        tx.execute("UPDATE workers SET lost_at = now()")
        sweep(tx, settings)


@in_both
def test_a_file_is_read_cut_and_counted(
    client: OpenAI, ingestions: Ingestions, database: Database
) -> None:
    put_in = put(client)
    assert ingestions.work_one()
    assert not ingestions.work_one()
    file = now(client, put_in)
    assert (file.status, file.usage_bytes, file.last_error) == ("completed", len(TEXT), None)
    content = client.vector_stores.files.content(put_in[1], vector_store_id=put_in[0])
    assert "".join(str(page.text) for page in content.data) == TEXT
    assert len(content.data) == len(rows(database, "SELECT text FROM chunks")) == 5
    assert rows(database, "SELECT embedding FROM chunks WHERE embedding IS NOT NULL") == []
    made = client.vector_stores.retrieve(put_in[0])
    assert (made.status, made.usage_bytes, made.file_counts.completed) == (
        "completed",
        len(TEXT),
        1,
    )


def test_chunks_are_as_large_as_was_asked(
    client: OpenAI, ingestions: Ingestions, database: Database
) -> None:
    sizes = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 10}
    put(client, chunking_strategy={"type": "static", "static": sizes})
    assert ingestions.work_one()
    lengths = rows(database, "SELECT octet_length(text) FROM chunks")
    assert 200 < max(lengths) <= 300


def test_with_a_model_for_it_each_chunk_has_its_vector(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    put(client, content=TEXT.encode() * 20)
    with an_ingester(settings, database, lease, embedding_model=MODEL) as ingestions:
        assert ingestions.work_one()
    assert [body["model"] for body in model_server.embedded] == [MODEL] * 2
    assert max(len(body["input"]) for body in model_server.embedded) == 64
    assert set(rows(database, "SELECT dimensions FROM chunks")) == {384}
    assert rows(database, "SELECT embedding_model FROM vector_store_files") == [MODEL]
    with database.autocommit() as tx:
        first = tx.value("SELECT text FROM chunks ORDER BY number LIMIT 1")
        distance = tx.value(
            "SELECT embedding <=> %(vector)s::halfvec FROM chunks ORDER BY number LIMIT 1",
            {"vector": str(vector_of(first))},
        )
    assert abs(distance) < 0.001


@pytest.mark.parametrize(
    ("content", "name", "code", "reason"),
    [
        (b"", "a.txt", "invalid_file", "The file is empty."),
        (b" \n \t", "a.txt", "invalid_file", "The file has no text."),
        (b"PK\x03\x04nonsense", "a.docx", "invalid_file", "damaged"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a.png", "unsupported_file", "not read as text (.png)"),
    ],
)
def test_a_file_without_text_fails_with_its_reason(
    client: OpenAI, ingestions: Ingestions, content: bytes, name: str, code: str, reason: str
) -> None:
    put_in = put(client, content, name)
    assert ingestions.work_one()
    file = now(client, put_in)
    assert file.status == "failed"
    assert file.last_error is not None
    assert file.last_error.code == code
    assert reason in file.last_error.message
    assert client.vector_stores.retrieve(put_in[0]).file_counts.failed == 1


def test_names_with_paths_nul_like_bytes_and_pictures_are_only_names(
    client: OpenAI, ingestions: Ingestions
) -> None:
    for name in ("../../etc/passwd", "\U0001f9f6" * 100, "x" * 300, "-rf", "a\nb.txt"):
        put_in = put(client, b"weft", name)
        assert ingestions.work_one()
        assert now(client, put_in).status == "completed"


def test_projects_take_turns(
    database: Database, caller: Caller, settings: Settings, lease: Lease
) -> None:
    other = a_caller(database, "other")
    for project_id, count in ((caller.project_id, 3), (other.project_id, 2)):
        ids = [a_file(database, project_id).id for _ in range(count)]
        a_vector_store(database, project_id, *ids)
    since, order = "", []
    while True:
        with database.transaction() as tx:
            claimed = store.claim(tx, lease.worker_id, since)
        if claimed is None:
            break
        since = claimed.project_id
        order.append(since == other.project_id)
    assert order[:4] in ([True, False] * 2, [False, True] * 2)
    assert len(order) == 5


def test_a_model_that_fails_for_a_while_is_asked_again(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    put_in = put(client)
    with an_ingester(settings, database, lease, embedding_model=MODEL) as ingestions:
        for reply in (fail(503), fail(429)):
            model_server.embed = reply
            assert ingestions.work_one()
            assert not ingestions.work_one()
            assert now(client, put_in).status == "in_progress"
            wait_no_longer(database)
        assert rows(database, "SELECT failures FROM vector_store_files") == [1]
        model_server.reset()
        assert ingestions.work_one()
    assert now(client, put_in).status == "completed"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (fail(404), "answered 404"),
        (send(b'{"object": "list", "data": []}'), "not embeddings"),
        (send(b'{"data": [{"index": 0, "embedding": "x"}]}'), "not embeddings"),
        (send(b"[]"), "not embeddings"),
        (send(b"<html>", "text/html"), "not embeddings"),
    ],
)
def test_a_model_that_has_no_embeddings_fails_the_file(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
    reply: Any,
    reason: str,
) -> None:
    put_in = put(client)
    model_server.embed = reply
    with an_ingester(settings, database, lease, embedding_model=MODEL) as ingestions:
        assert ingestions.work_one()
    error = now(client, put_in).last_error
    assert error is not None
    assert error.code == "server_error"
    assert reason in error.message
    assert rows(database, "SELECT text FROM chunks") == []


@in_both
def test_bytes_that_cannot_be_reached_are_looked_for_again_and_then_given_up(
    client: OpenAI, ingestions: Ingestions, database: Database, settings: Settings
) -> None:
    put_in = put(client)
    open_blobs(settings).delete(put_in[1])
    for _ in range(settings.model_retries):
        assert ingestions.work_one()
        assert now(client, put_in).status == "in_progress"
        wait_no_longer(database)
    assert ingestions.work_one()
    error = now(client, put_in).last_error
    assert error is not None
    assert error.code == "server_error"
    assert "cannot reach" in error.message


ACTS: dict[str, Any] = {
    "cancel": lambda client, database, settings, store_id, file_id, batch_id: client.post(
        f"/vector_stores/{store_id}/file_batches/{batch_id}/cancel", cast_to=object
    ),
    "remove": lambda client, database, settings, store_id, file_id, batch_id: (
        client.vector_stores.files.delete(file_id, vector_store_id=store_id)
    ),
    "delete store": lambda client, database, settings, store_id, file_id, batch_id: (
        client.vector_stores.delete(store_id)
    ),
    "delete file": lambda client, database, settings, store_id, file_id, batch_id: (
        client.files.delete(file_id)
    ),
    "lose": lambda client, database, settings, *ids: lose_all_workers(database, settings),
}


@pytest.mark.parametrize("act", list(ACTS))
def test_who_lost_a_file_meanwhile_writes_nothing(
    client: OpenAI,
    settings: Settings,
    database: Database,
    lease: Lease,
    model_server: ModelServer,
    act: str,
) -> None:
    file = client.files.create(file=("a.txt", TEXT.encode()), purpose="assistants")
    made = client.vector_stores.create(name="n")
    answer = client.post(
        f"/vector_stores/{made.id}/file_batches", body={"file_ids": [file.id]}, cast_to=object
    )
    batch_id = answer["id"]  # type: ignore[index]
    go_on = threading.Event()
    model_server.embed = stall(go_on, model_server.embed)
    with (
        an_ingester(settings, database, lease, embedding_model=MODEL) as ingestions,
        ThreadPoolExecutor(1) as pool,
    ):
        working = pool.submit(ingestions.work_one)
        while not model_server.embedded:
            go_on.wait(0.01)
        ACTS[act](client, database, settings, made.id, file.id, batch_id)
        go_on.set()
        assert working.result(30)
        assert rows(database, "SELECT text FROM chunks") == []
        if act == "cancel":
            assert now(client, (made.id, file.id)).status == "cancelled"
        if act == "lose":
            assert now(client, (made.id, file.id)).status == "in_progress"
            lease.beat()
            assert ingestions.work_one()
            assert now(client, (made.id, file.id)).status == "completed"


def test_a_write_under_an_old_fence_is_refused(
    client: OpenAI, database: Database, settings: Settings, lease: Lease
) -> None:
    put(client)
    with database.transaction() as tx:
        old = store.claim(tx, lease.worker_id, "")
        assert old is not None
    lose_all_workers(database, settings)
    lease.beat()
    with database.transaction() as tx:
        new = store.claim(tx, lease.worker_id, "")
        assert new is not None
    assert new.fence == old.fence + 1
    for write in (
        lambda tx: store.add(tx, old, 0, [Piece("x", 0)], [], MODEL),
        lambda tx: store.complete(tx, old, [], [], None, 0),
        lambda tx: store.fail(tx, old, "server_error", "x"),
        lambda tx: store.retry_later(tx, old, 1),
    ):
        with pytest.raises(LeaseLost), database.transaction() as tx:
            write(tx)
    assert rows(database, "SELECT number FROM chunks") == []
    with database.transaction() as tx:
        store.complete(tx, new, [], [], None, 0)


def test_a_file_that_loses_its_worker_three_times_fails(
    client: OpenAI, database: Database, settings: Settings
) -> None:
    put_in = put(client)
    for _ in range(3):
        assert now(client, put_in).status == "in_progress"
        session = Session(settings.database_url)
        with session.autocommit() as tx:
            assert store.claim(tx, workers.register(tx), "") is not None
        lose_all_workers(database, settings)
        session.close()
    error = now(client, put_in).last_error
    assert error is not None
    assert error.message == "The worker was lost 3 times while it read this file."


def test_a_claim_whose_answer_got_lost_is_given_back(
    client: OpenAI, ingestions: Ingestions, database: Database, lease: Lease
) -> None:
    put_in = put(client)
    with database.transaction() as tx:
        assert store.claim(tx, lease.worker_id, "") is not None
    assert ingestions.work_one()
    assert now(client, put_in).status == "completed"


def test_a_worker_that_stops_gives_back_what_it_reads(
    client: OpenAI, settings: Settings, database: Database, lease: Lease
) -> None:
    put(client)
    with database.transaction() as tx:
        assert store.claim(tx, lease.worker_id, "") is not None
    session = Session(settings.database_url)
    lease.give_back(session)
    session.close()
    assert rows(database, "SELECT worker_id FROM vector_store_files") == [None]


@in_both
def test_a_worker_that_ends_in_the_middle_of_a_file_leaves_it_to_others(
    client: OpenAI, ingestions: Ingestions
) -> None:
    """What was cut off says nothing of the file."""
    page = b"<html>" + b"<p>The <b>weft</b> &amp; the warp.</p>" * 300_000
    put_in = put(client, page, "a.html")
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(ingestions.work_one)
        while not any(one.is_reading for one in [*ingestions.held.values()]):
            assert not working.done()
        ingestions.stop()
        assert working.result(30)
    assert now(client, put_in).status == "in_progress"


def test_a_worker_that_is_to_end_begins_nothing(client: OpenAI, ingestions: Ingestions) -> None:
    put(client)
    ingestions.stop()
    assert not ingestions.work_one()


@pytest.mark.parametrize("content", [TEXT.encode(), b""])
def test_the_end_of_a_file_rings_for_runs_that_may_wait_for_it(
    client: OpenAI, ingestions: Ingestions, content: bytes
) -> None:
    put(client, content)
    assert queue.flush(5)
    with queue.celery.connection_or_acquire() as connection:
        queue.celery.control.purge(connection)
    assert queue.waiting() == 0
    assert ingestions.work_one()
    assert queue.flush(5)
    assert queue.waiting() == 1
