"""Blobs, wherever they are kept: in a directory and in a bucket of a real S3."""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.blobs import PIECE, Blobs, open_blobs, s3
from shared.blobs.s3 import PART
from shared.errors import SettingsError, Unavailable
from shared.settings import Settings
from tests.places import away, in_a_bucket, in_both, kept
from tests.s3_server import S3Server

SIZES = [0, 1, PIECE, PART - 1, PART, PART + 1, 2 * PART + 12345]


@pytest.fixture
def settings(tmp_path: Path, blob_place: str) -> Settings:
    return Settings(home=tmp_path, blobs=blob_place)


@pytest.fixture
def blobs(settings: Settings) -> Blobs:
    return open_blobs(settings)


def write(blobs: Blobs, blob_id: str, content: bytes, piece: int = 300_000) -> tuple[int, bytes]:
    """Its size and hash, as they were counted."""
    new = blobs.begin(blob_id)
    try:
        for start in range(0, len(content), piece):
            new.write(content[start : start + piece])
        new.keep()
    finally:
        new.drop()
    return new.size, new.sha256


@in_both
@pytest.mark.parametrize("size", SIZES)
def test_what_was_kept_is_read_as_it_was_written(
    blobs: Blobs, settings: Settings, size: int
) -> None:
    content = os.urandom(size)
    assert write(blobs, "file-x", content) == (size, hashlib.sha256(content).digest())
    pieces = list(blobs.pieces("file-x"))
    assert b"".join(pieces) == content
    assert max(map(len, pieces), default=0) <= PIECE
    with blobs.file("file-x") as file:
        assert file.read() == content
        assert file.fileno() >= 0
    assert kept(settings) == {"file-x"}


@in_both
def test_any_range_of_it_can_be_read(blobs: Blobs) -> None:
    content = os.urandom(PART + 100)
    write(blobs, "file-x", content)
    size = len(content)
    for start, length in ((0, 1), (5, 7), (PIECE - 1, 2), (PART - 10, 50), (size - 1, 1)):
        assert b"".join(blobs.pieces("file-x", start, length)) == content[start : start + length]
    assert b"".join(blobs.pieces("file-x", size - 3)) == content[-3:]
    assert b"".join(blobs.pieces("file-x", size - 3, 100)) == content[-3:]
    assert b"".join(blobs.pieces("file-x", size)) == b""
    assert b"".join(blobs.pieces("file-x", 5, 0)) == b""


@in_both
def test_reading_may_end_anywhere(blobs: Blobs) -> None:
    write(blobs, "file-x", bytes(PART))
    for _ in range(3):
        pieces = blobs.pieces("file-x")
        assert len(next(pieces)) > 0
        pieces.close()


@in_both
@pytest.mark.parametrize("size", [10, PART + 1])
def test_what_is_not_kept_cannot_be_read_and_is_gone(
    blobs: Blobs, settings: Settings, size: int
) -> None:
    new = blobs.begin("file-x")
    new.write(bytes(size))
    with pytest.raises(Unavailable):
        list(blobs.pieces("file-x"))
    new.drop()
    assert kept(settings) == set()


@in_both
def test_whatever_there_is_of_a_blob_is_deleted_and_nothing_else(
    blobs: Blobs, settings: Settings
) -> None:
    for name in ("file-x", "file-xy"):
        write(blobs, name, b"x")
    unfinished = [blobs.begin(name) for name in ("file-z", "file-zy")]
    for new in unfinished:
        new.write(bytes(PART + 1))
    for name in ("file-x", "file-z"):
        blobs.delete(name)
        blobs.delete(name)
    assert kept(settings) == {"file-xy", "file-zy.part"}
    for new in unfinished:
        new.drop()


@in_both
def test_where_they_cannot_be_reached_every_way_to_them_says_so(
    blobs: Blobs, settings: Settings, request: pytest.FixtureRequest
) -> None:
    write(blobs, "file-x", b"x")

    def write_one() -> None:
        write(blobs, "file-y", b"y")

    def open_one() -> None:
        with blobs.file("file-x"):
            raise AssertionError

    acts: list[Any] = [write_one, open_one, lambda: list(blobs.pieces("file-x"))]
    with away(settings, request):
        for act in [*acts, lambda: blobs.delete("file-x")]:
            with pytest.raises(Unavailable, match="cannot be reached"):
                act()
    assert b"".join(blobs.pieces("file-x")) == b"x"


@in_a_bucket
def test_an_upload_whose_s3_goes_in_its_middle_is_swept_when_it_is_back(
    blobs: Blobs, settings: Settings, s3_server: S3Server
) -> None:
    new = blobs.begin("file-x")
    new.write(bytes(PART))
    s3_server.kill()
    with pytest.raises(Unavailable):
        new.write(bytes(PART))
    new.drop()
    s3_server.start()
    assert kept(settings) == {"file-x.part"}
    blobs.delete("file-x")
    assert kept(settings) == set()


@contextmanager
def a_cutting_proxy(port: int, most: int) -> Iterator[str]:
    """Before a server: each of its connections is cut after so many bytes of answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=pass_on, args=(near,), daemon=True).start()

        def pass_on(near: socket.socket) -> None:
            with near, socket.create_connection(("127.0.0.1", port)) as far:
                near.settimeout(10)
                far.sendall(near.recv(65536))
                left = most
                while left and (answer := far.recv(min(65536, left))):
                    near.sendall(answer)
                    left -= len(answer)

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@in_a_bucket
def test_a_download_that_is_cut_goes_on_where_it_was(
    blobs: Blobs, settings: Settings, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(3_000_000)
    write(blobs, "file-x", content)
    with a_cutting_proxy(s3_server.port, 1_000_000) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert b"".join(open_blobs(settings).pieces("file-x")) == content
    with a_cutting_proxy(s3_server.port, 100) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(Unavailable):
            list(open_blobs(settings).pieces("file-x"))


@in_a_bucket
def test_an_s3_that_does_not_answer_is_not_waited_for_longer_than_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_ANSWER_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        blobs = open_blobs(settings)
        with pytest.raises(Unavailable, match="ReadTimeoutError"):
            list(blobs.pieces("file-x"))
        with pytest.raises(Unavailable, match="ReadTimeoutError"):
            write(blobs, "file-x", b"x")


@in_a_bucket
def test_a_file_that_comes_too_slowly_is_given_up(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(blobs, "file-x", bytes(PART))
    monkeypatch.setattr(s3, "_PATIENCE_SECONDS", -100.0)
    with pytest.raises(Unavailable, match="too slowly"), blobs.file("file-x"):
        raise AssertionError


@in_a_bucket
def test_of_what_is_brought_here_nothing_has_a_name(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing of it is left by a process that is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    new = blobs.begin("file-x")
    new.write(b"x")
    assert list(tmp_path.iterdir()) == []
    new.keep()
    with blobs.file("file-x") as file:
        assert (file.read(), list(tmp_path.iterdir())) == (b"x", [])
    new.drop()


@in_a_bucket
def test_without_its_client_s3_is_refused_in_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "shared.blobs.s3")
    monkeypatch.setitem(sys.modules, "botocore.config", None)
    with pytest.raises(SettingsError) as refused:
        open_blobs(settings)
    assert str(refused.value) == (
        "TREADLE_BLOBS names S3, whose client is not installed here: install the extra,"
        " treadle[s3]."
    )


def test_whoever_keeps_blobs_in_a_directory_does_not_load_s3s_client() -> None:
    program = (
        "import sys, api.app, worker.runtime, cli.main\n"
        "from shared.blobs import open_blobs\n"
        "from shared.settings import Settings\n"
        "open_blobs(Settings())\n"
        "print([name for name in sys.modules if name.startswith(('boto', 'urllib3'))])"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, cwd=Path(__file__).parents[2], text=True) == "[]\n"
