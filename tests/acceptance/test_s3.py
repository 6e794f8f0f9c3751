"""Files in a bucket, through real processes: what goes in and comes out, and an S3 that goes away."""

import hashlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx2
import pytest

from shared.blobs.s3 import PART
from shared.db import Database
from shared.settings import Settings
from tests.acceptance.conftest import Stack, wait_until
from tests.acceptance.test_batches import assert_each_is_answered_once, begin, lines_of
from tests.acceptance.test_files import HEAD, KIND, TAIL
from tests.acceptance.test_start import treadle
from tests.conftest import Caller
from tests.factories import an_assistant
from tests.places import in_a_bucket, kept
from tests.s3_server import SECRET, S3Server
from tests.unit.worker.test_extraction import a_pdf

pytestmark = in_a_bucket

LARGE = 32 * 1024 * 1024
# More than there are threads that wait for the disk.
MANY = 12


@pytest.fixture
def s3(s3_server: S3Server) -> Iterator[S3Server]:
    """Whole again for whoever comes next."""
    yield s3_server
    s3_server.thaw()
    s3_server.start()


@pytest.mark.timeout(180)
def test_files_go_in_and_out_and_are_read(
    stack: Stack, settings: Settings, database: Database, caller: Caller
) -> None:
    stack.environment["TREADLE_LOG_LEVEL"] = "DEBUG"
    stack.start_api()
    stack.start_worker()
    client = stack.client()
    content = os.urandom(PART + 12345)
    file = client.files.create(file=("data.bin", content), purpose="user_data")
    assert (file.bytes, kept(settings)) == (len(content), {file.id})
    assert client.files.content(file.id).read() == content
    part = stack.http().get(f"files/{file.id}/content", headers={"Range": "bytes=-5"})
    assert (part.status_code, part.content) == (206, content[-5:])

    store = client.vector_stores.create(name="notes")
    for name, text in (("a.txt", b"A loom has treadles."), ("b.pdf", a_pdf("Of warp and weft"))):
        read = client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=(name, io.BytesIO(text))
        )
        assert (read.status, read.last_error) == ("completed", None)
    found = client.vector_stores.search(store.id, query="weft").data
    assert [one.filename for one in found] == ["b.pdf"]

    assistant = an_assistant(database, caller.project_id)
    batch = begin(client, lines_of(assistant.id, 20))
    assert_each_is_answered_once(client, batch, 20)
    client.files.delete(file.id)
    wait_until(lambda: file.id not in kept(settings), 30, "the file's bytes to be deleted")
    logs = "".join(log.read_text() for log in stack.logs.glob("*.log"))
    assert '"level": "DEBUG"' in logs
    assert [word for word in (SECRET, "AWS4-HMAC", "Signature") if word in logs] == []


@pytest.mark.timeout(120)
def test_an_upload_whose_s3_goes_away_is_answered_so_and_leaves_nothing(
    stack: Stack, s3: S3Server, settings: Settings, database: Database
) -> None:
    stack.start_api()

    def form() -> Iterator[bytes]:
        yield HEAD
        yield bytes(9_000_000)
        wait_until(lambda: len(kept(settings)) == 1, 20, "the first part to be there")
        s3.kill()
        yield bytes(PART)
        yield TAIL

    answer = stack.http(timeout=60).post("files", content=form(), headers={"Content-Type": KIND})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["error"]["type"] == "server_error"
    assert stack.client().files.list().data == []
    s3.start()
    assert len(kept(settings)) == 1
    with database.transaction() as tx:
        tx.execute("UPDATE unowned_blobs SET due_at = now()")
    wait_until(lambda: kept(settings) == set(), 40, "what was sent to be swept")
    assert stack.client().files.create(file=b"x", purpose="user_data").bytes == 1


@pytest.mark.timeout(120)
def test_a_download_whose_s3_goes_away_ends_short_and_is_there_again_later(
    stack: Stack, s3: S3Server
) -> None:
    stack.start_api()
    client = stack.client(timeout=60)
    content = os.urandom(LARGE)
    file = client.files.create(file=content, purpose="user_data")
    path = f"{stack.base_urls[0]}/files/{file.id}/content"
    headers = {"Authorization": f"Bearer {stack.secret}"}
    # Not with the recording client, which reads all at once.
    with httpx2.Client(timeout=60) as http, http.stream("GET", path, headers=headers) as answer:
        assert answer.headers["Content-Length"] == str(LARGE)
        pieces = answer.iter_bytes()
        assert next(pieces)
        s3.kill()
        with pytest.raises(httpx2.TransportError):
            list(pieces)
    refused = stack.http(timeout=60).get(f"files/{file.id}/content")
    assert refused.status_code == 503
    s3.start()
    again = client.files.content(file.id).read()
    assert hashlib.sha256(again).digest() == hashlib.sha256(content).digest()


@pytest.mark.timeout(120)
def test_an_s3_that_does_not_answer_keeps_nobody_waiting_who_asks_for_something_else(
    stack: Stack, s3: S3Server
) -> None:
    stack.start_api()
    client = stack.client(timeout=60)
    there = client.files.create(file=b"there", purpose="user_data")
    s3.freeze()
    with ThreadPoolExecutor(2 * MANY) as pool:
        uploads = [
            pool.submit(client.files.create, file=b"x" * 1000, purpose="user_data")
            for _ in range(MANY)
        ]
        downloads = [pool.submit(client.files.content, there.id) for _ in range(MANY)]
        hasty = stack.client(timeout=5)
        for _ in range(5):
            assert hasty.files.retrieve(there.id) == there
            assert hasty.beta.threads.create().id
        assert not any(one.done() for one in (*uploads, *downloads))
        s3.thaw()
        assert {one.result().bytes for one in uploads} == {1000}
        assert {one.result().read() for one in downloads} == {b"there"}


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_process_refuses_a_bucket_that_is_not_there_in_one_sentence(
    settings: Settings, part: str
) -> None:
    ended = treadle(replace(settings, blobs="s3://no-such-bucket", log_level="ERROR"), part)
    assert ended.returncode == 2
    told = "TREADLE_BLOBS names the bucket no-such-bucket, which is not there.\n"
    assert ended.stderr.endswith(told)
    assert ended.stderr.count("\n") == 1


def test_check_shows_what_is_found_of_the_bucket(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = treadle(settings, "check")
    assert ended.returncode == 0
    assert f"ok       S3          files               {settings.blobs}\n" in ended.stdout
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    ended = treadle(settings, "check")
    assert ended.returncode == 0
    assert "warning  S3          files               not reached\n" in ended.stdout
