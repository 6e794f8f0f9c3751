"""Vector stores, as their users have them: the official client's helpers, workers that are killed."""

import io
import signal
from typing import Any

from shared.db import Database
from tests.acceptance.conftest import Stack, wait_until
from tests.model_server import ModelServer, after, embed
from worker.chunking import cut

MODEL = "minilm"
FILES = 24
LONG = "The weaver passes the weft through the shed, row {} of file {}. "


def texts(count: int) -> list[str]:
    return ["".join(LONG.format(row, file) for row in range(200)) for file in range(count)]


def test_the_clients_own_helpers_see_files_to_their_end(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.environment["TREADLE_EMBEDDING_MODEL"] = MODEL
    stack.start_api()
    stack.start_worker()
    client = stack.client()
    store = client.vector_stores.create(name="notes")
    file = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("loom.txt", io.BytesIO(b"A loom has treadles."))
    )
    assert (file.status, file.usage_bytes) == ("completed", 20)
    bad = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("a.pdf", io.BytesIO(b"no PDF"))
    )
    assert bad.status == "failed"
    assert client.vector_stores.retrieve(store.id).file_counts.to_dict() == {
        "in_progress": 0,
        "completed": 1,
        "failed": 1,
        "cancelled": 0,
        "total": 2,
    }
    assert model_server.embedded[0]["input"] == ["A loom has treadles."]
    (found,) = client.vector_stores.search(store.id, query="What has treadles?").data
    assert (found.file_id, found.score, found.content[0].text) == (
        file.id,
        1.0,
        "A loom has treadles.",
    )


def test_files_are_read_whole_and_once_though_workers_are_killed(
    stack: Stack, model_server: ModelServer, database: Database
) -> None:
    stack.environment |= {"TREADLE_EMBEDDING_MODEL": MODEL, "TREADLE_LEASE_SECONDS": "4"}
    stack.start_api()
    killed = [stack.start_worker() for _ in range(2)]
    http = stack.http()
    client = stack.client()
    model_server.embed = after(0.1, embed)
    ids = [
        client.files.create(file=(f"{number}.txt", text.encode()), purpose="assistants").id
        for number, text in enumerate(texts(FILES))
    ]
    store_id = client.vector_stores.create(name="n").id
    path = f"vector_stores/{store_id}/file_batches"
    batch: dict[str, Any] = http.post(path, json={"file_ids": ids}).json()

    def counts() -> dict[str, int]:
        return http.get(f"{path}/{batch['id']}").json()["file_counts"]

    for worker in killed:
        done = counts()["completed"]
        wait_until(lambda done=done: counts()["completed"] > done, 40, "a file to be read")
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        stack.start_worker()
    wait_until(lambda: counts()["in_progress"] == 0, 50, "all files to be read")
    assert counts()["completed"] == FILES
    for file_id, text in zip(ids, texts(FILES), strict=True):
        content = http.get(f"vector_stores/{store_id}/files/{file_id}/content").json()["data"]
        assert "".join(page["text"] for page in content) == text
    with database.autocommit() as tx:
        chunks = tx.values("SELECT dimensions FROM chunks")
        counted = tx.values("SELECT count(*) FROM chunks GROUP BY ingestion ORDER BY 1")
    assert set(chunks) == {384}
    assert counted == sorted(len(list(cut(text, 800, 400))) for text in texts(FILES))
