"""Files that are not what they say, and callers that change their mind while files are read: each
ends in the wire's words, and nothing of it stays once it is deleted."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from shared.db import Database
from tests.acceptance.conftest import Stack, wait_until
from tests.acceptance.test_files import kept
from tests.documents import a_page, a_pdf, a_pdf_of, a_stream, an_archive
from tests.model_server import ModelServer, after, embed

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10
TABLES = (
    *("files", "unowned_blobs", "chunks", "unowned_chunks"),
    *("vector_stores", "vector_store_files", "vector_store_file_batches"),
    "vector_store_batch_files",
)


def bad_and_good() -> dict[str, tuple[bytes, str | None]]:
    """By name: the bytes, and why they cannot be read, if they cannot."""
    pages = a_pdf_of(a_page(4), a_stream(b"BT (x) Tj ET"), kids="3 0 R " * 50_000, count=50_000)
    bomb = an_archive(**{"word/document.xml": b"<a/>", "x": b"\0" * (513 << 20)})
    return {
        "../../etc/passwd": (b"weft of paths", None),
        "\U0001f9f5.txt": (b"weft of emoji", None),
        "x" * 300: (b"weft of length", None),
        "wide.txt": ("weft of UTF-16".encode("utf-16"), None),
        "really-a-pdf.txt": (a_pdf("weft of pages"), None),
        "empty.txt": (b"", "invalid_file"),
        "really-a-picture.txt": (PNG, "unsupported_file"),
        "really-a-zip.docx": (an_archive(a=b"x"), "unsupported_file"),
        "really-a-page.pdf": (b"<html><p>words</html>", "invalid_file"),
        "locked.pdf": (a_pdf("Secret", password="sesame"), "invalid_file"),
        "bomb.docx": (bomb, "invalid_file"),
        "endless.pdf": (pages, "invalid_file"),
    }


def left(stack: Stack, database: Database) -> dict[str, int]:
    """Of files and stores, in the database and on the disk."""
    with database.autocommit() as tx:
        rows = {table: tx.value(f"SELECT count(*) FROM {table}") for table in TABLES}  # noqa: S608 # type: ignore[arg-type]
    rows["blobs"] = len(kept(stack.settings))
    return {name: count for name, count in rows.items() if count}


@pytest.mark.timeout(120)
def test_whatever_files_are_they_end_and_nothing_of_them_stays(
    stack: Stack, database: Database
) -> None:
    stack.environment["TREADLE_EMBEDDING_MODEL"] = "minilm"
    stack.start_api()
    stack.start_worker()
    client = stack.client()
    given = bad_and_good()
    store = client.vector_stores.create(name="n")
    batches = client.vector_stores.file_batches
    batch = batches.upload_and_poll(
        store.id, files=[(name, io.BytesIO(content)) for name, (content, _) in given.items()]
    )
    names = {file.id: file.filename for file in client.files.list()}
    ended: dict[str, Any] = {
        names[file.id]: file.last_error and file.last_error.code
        for file in batches.list_files(batch.id, vector_store_id=store.id, limit=100)
        if file.status == ("failed" if file.last_error else "completed")
    }
    assert ended == {name: code for name, (_, code) in given.items()}
    found = client.vector_stores.search(store.id, query="weft", max_num_results=50)
    assert {one.filename for one in found} == {
        name for name, (_, code) in given.items() if not code
    }

    gone, *others = names
    client.vector_stores.files.delete(gone, vector_store_id=store.id)
    client.files.delete(others[0])
    client.vector_stores.delete(store.id)
    for file_id in {*names} - {others[0]}:
        client.files.delete(file_id)
    wait_until(lambda: not left(stack, database), 50, "all that is left to be deleted")


def test_a_batch_that_several_cancel_while_it_is_read_keeps_what_was_completed_and_no_more(
    stack: Stack, model_server: ModelServer, database: Database
) -> None:
    stack.environment["TREADLE_EMBEDDING_MODEL"] = "minilm"
    model_server.embed = after(0.1, embed)
    stack.start_api()
    stack.start_worker()
    client = stack.client()
    http = stack.http()
    store_id = client.vector_stores.create(name="n").id
    ids = [
        client.files.create(file=(f"{number}.txt", b"weft"), purpose="assistants").id
        for number in range(20)
    ]
    path = f"vector_stores/{store_id}/file_batches"
    path += "/" + http.post(path, json={"file_ids": ids}).json()["id"]

    def counts() -> dict[str, int]:
        return http.get(path).json()["file_counts"]

    def cancel(_: int) -> httpx2.Response:
        return http.post(f"{path}/cancel")

    wait_until(lambda: counts()["completed"] > 0, 40, "a file to be read")
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(cancel, range(4)), cancel(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    for told in (answer.json() for answer in answers):
        assert (told["status"], told["file_counts"]) == ("cancelled", counts())
    assert counts()["completed"] + counts()["cancelled"] == 20
    assert counts()["cancelled"] > 0
    with database.autocommit() as tx:
        of_completed = tx.value(
            "SELECT count(*) FROM chunks JOIN vector_store_files ON sequence = ingestion"
            " WHERE status = 'completed'"
        )
        assert of_completed == tx.value("SELECT count(*) FROM chunks") == counts()["completed"]
