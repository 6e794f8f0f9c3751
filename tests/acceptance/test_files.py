"""Files through real processes: large ones, slow ones, and a process that dies under one."""

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest

from shared.db import Database
from shared.store import files
from tests.acceptance.conftest import Stack, wait_until
from tests.acceptance.test_hostile_clients import (
    MEGABYTE,
    connected,
    megabytes_of_the_api,
    read_to_the_end,
    send,
)
from tests.places import in_both, kept

LARGE = 256 * MEGABYTE
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
TAIL = b'\r\n--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--b--\r\n'
KIND = "multipart/form-data; boundary=b"
# Enough that S3 holds something of it.
STARTED = HEAD + bytes(9_000_000)


@in_both
@pytest.mark.timeout(120)
def test_a_large_file_goes_in_and_out_without_being_held(stack: Stack) -> None:
    stack.start_api()
    piece = bytes(range(256)) * (MEGABYTE // 256)
    before = megabytes_of_the_api(stack)
    most = [before]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            most.append(megabytes_of_the_api(stack))

    def form() -> Iterator[bytes]:
        yield HEAD
        yield from (piece for _ in range(LARGE // MEGABYTE))
        yield TAIL

    watching = threading.Thread(target=watch)
    watching.start()
    http = stack.http(timeout=60)
    # Without a length first: chunked.
    for length in ({}, {"Content-Length": str(len(HEAD) + LARGE + len(TAIL))}):
        headers = {"Content-Type": KIND, **length}
        made = http.post("files", content=form(), headers=headers).json()
        assert made["bytes"] == LARGE, made
    given, got = hashlib.sha256(), hashlib.sha256()
    for one in form():
        given.update(one if one is piece else b"")
    # Not with the recording client, which keeps what it reads.
    asked = Request(
        f"{stack.base_urls[0]}/files/{made['id']}/content",
        headers={"Authorization": f"Bearer {stack.secret}"},
    )
    with urlopen(asked, timeout=60) as content:
        while read := content.read(MEGABYTE):
            got.update(read)
    over.set()
    watching.join()
    assert got.digest() == given.digest()
    assert max(most) - before < 64


@in_both
def test_an_upload_that_stops_is_left_and_leaves_nothing(stack: Stack) -> None:
    stack.environment["TREADLE_IDLE_SECONDS"] = "1"
    stack.start_api()
    with connected(stack) as stuck:
        send(stuck, stack, "/v1/files", STARTED, Content_Type=KIND, Content_Length="10000000")
        wait_until(lambda: len(kept(stack.settings)) == 1, 20, "the upload to begin")
        answer = read_to_the_end(stuck)
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    wait_until(lambda: kept(stack.settings) == set(), 20, "the upload to be left")
    assert stack.client().files.list().data == []


@in_both
@pytest.mark.timeout(120)
def test_bytes_of_a_killed_api_and_of_deleted_files_are_deleted_by_the_next(
    stack: Stack, database: Database
) -> None:
    stack.start_api()
    client = stack.client()
    stays, goes = (client.files.create(file=b"x", purpose="user_data") for _ in range(2))
    with connected(stack) as upload:
        send(upload, stack, "/v1/files", STARTED, Content_Type=KIND, Content_Length="10000000")
        wait_until(lambda: len(kept(stack.settings)) == 3, 20, "the upload to begin")
        for pid in [stack.running[0].pid, *stack.processes()]:
            os.kill(pid, signal.SIGKILL)
        stack.running[0].wait()
    assert len(kept(stack.settings)) == 3
    with database.transaction() as tx:
        tx.execute("UPDATE unowned_blobs SET due_at = now()")
        project_id = tx.value("SELECT project_id FROM files WHERE id = %(id)s", {"id": goes.id})
        files.delete(tx, project_id, goes.id)
    stack.base_urls.clear()
    stack.start_api()
    wait_until(lambda: kept(stack.settings) == {stays.id}, 40, "what is left to be deleted")
    assert stack.client().files.list().data == [stays]
