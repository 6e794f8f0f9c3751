"""Blobs in a directory: a file for each, written beside its place and moved there when it is whole
and on the disk."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shared.blobs.base import PIECE, Blobs, NewBlob, Wait
from shared.errors import Unavailable

_UNFINISHED = ".part"


class Directory(Blobs):
    def __init__(self, directory: Path, wait: Wait) -> None:
        self._directory = directory
        self._wait = wait

    def begin(self, blob_id: str) -> NewBlob:
        with _reached():
            return self._wait(self._begun, self._directory / blob_id)

    def pieces(self, blob_id: str, start: int = 0, length: int | None = None) -> Generator[bytes]:
        left = length
        with _reached(), self._wait(self._open, blob_id, start) as file:
            while piece := self._wait(file.read, PIECE if left is None else min(PIECE, left)):
                left = None if left is None else left - len(piece)
                yield piece

    @contextmanager
    def file(self, blob_id: str) -> Generator[IO[bytes]]:
        with _reached():
            file = self._wait(self._open, blob_id)
        with file:
            yield file

    def delete(self, blob_id: str) -> None:
        with _reached():
            for name in (blob_id, blob_id + _UNFINISHED):
                self._wait((self._directory / name).unlink, True)

    def look(self) -> None:
        """It is made when the first blob is."""

    def _begun(self, path: Path) -> NewBlob:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _NewFile(path, self._wait)

    def _open(self, blob_id: str, start: int = 0) -> IO[bytes]:
        file = (self._directory / blob_id).open("rb", buffering=0)
        file.seek(start)
        return file


class _NewFile(NewBlob):
    def __init__(self, path: Path, wait: Wait) -> None:
        super().__init__()
        self._path = path
        self._wait = wait
        self._unfinished = path.with_name(path.name + _UNFINISHED)
        self._file = self._unfinished.open("wb", buffering=0)

    def write(self, piece: bytes) -> None:
        with _reached():
            self._wait(self._write, piece)
        self.size += len(piece)

    def keep(self) -> None:
        with _reached():
            self._wait(self._keep)

    def drop(self) -> None:
        with _reached():
            self._wait(self._drop)

    def _write(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            left = left[self._file.write(left) :]
        self._sha256.update(piece)

    def _keep(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        self._unfinished.rename(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _drop(self) -> None:
        self._file.close()
        self._unfinished.unlink(missing_ok=True)


@contextmanager
def _reached() -> Generator[None]:
    try:
        yield
    except OSError as error:
        told = f"The files' bytes cannot be reached now ({error.strerror})."
        raise Unavailable(told) from error
