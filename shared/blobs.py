"""The bytes of files: a directory that all APIs share, with a file for each blob.

A blob has a name of ours, an id, never a client's. It is written beside its place and moved there
when it is whole and on the disk, so that what can be read is complete. What became of those whose
writer died, and of those whose file was deleted, PostgreSQL knows: see `store/files.py`.
"""

import hashlib
import os
from collections.abc import Generator
from pathlib import Path

from shared.errors import Unavailable
from shared.settings import Settings

PIECE = 256 * 1024
_UNFINISHED = ".part"


class Blobs:
    """All methods may wait for the disk, and raise Unavailable where it refuses."""

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.blob_directory

    def path(self, blob_id: str) -> Path:
        """Where it is, once it can be read."""
        return self._directory / blob_id

    def begin(self, blob_id: str) -> "NewBlob":
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return NewBlob(self._directory / blob_id)
        except OSError as error:
            raise _unavailable(error) from error

    def pieces(self, blob_id: str, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """From `start` on. Opened when the first is asked for."""
        try:
            with (self._directory / blob_id).open("rb", buffering=0) as file:
                file.seek(start)
                left = length
                while piece := file.read(PIECE if left is None else min(PIECE, left)):
                    left = None if left is None else left - len(piece)
                    yield piece
        except OSError as error:
            raise _unavailable(error) from error

    def delete(self, blob_id: str) -> None:
        """Whatever there is of it."""
        try:
            for name in (blob_id, blob_id + _UNFINISHED):
                (self._directory / name).unlink(missing_ok=True)
        except OSError as error:
            raise _unavailable(error) from error


class NewBlob:
    """A blob that is being written. Whoever began it drops it in the end, kept or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(path.name + _UNFINISHED)
        self._file = self._unfinished.open("wb", buffering=0)
        self._sha256 = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> bytes:
        return self._sha256.digest()

    def write(self, piece: bytes) -> None:
        try:
            left = memoryview(piece)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _unavailable(error) from error
        self._sha256.update(piece)
        self.size += len(piece)

    def keep(self) -> None:
        """From here on it can be read, and no crash takes it."""
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self._unfinished.rename(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise _unavailable(error) from error

    def drop(self) -> None:
        """What was not kept is gone."""
        try:
            self._file.close()
            self._unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise _unavailable(error) from error


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(f"The files' bytes cannot be reached now ({error.strerror}).")
