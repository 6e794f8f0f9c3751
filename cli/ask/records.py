"""A file that only grows, by whole lines."""

import os
from pathlib import Path
from typing import IO

from cli.ask.errors import AskError


class Records:
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise AskError(f"{path} cannot be written: {error.strerror}.") from None
        self._dirty = False

    def close(self) -> None:
        os.close(self._file)

    def fileno(self) -> int:
        return self._file

    @property
    def size(self) -> int:
        return os.fstat(self._file).st_size

    def opened(self) -> IO[bytes]:
        """To read it from the beginning."""
        return self.path.open("rb")

    def append(self, record: bytes) -> None:
        """Raises AskError where the disk takes no more; the torn record is cut off at resume."""
        self._dirty = True
        try:
            while record:
                record = record[os.write(self._file, record) :]
        except OSError as error:
            raise AskError(f"{self.path} cannot be written: {error.strerror}.") from None

    def cut(self, size: int) -> None:
        os.ftruncate(self._file, size)
        self._dirty = True

    def sync(self) -> None:
        """When this returns, what was appended before outlives a power cut."""
        if self._dirty:
            self._dirty = False
            try:
                os.fsync(self._file)
            except OSError as error:
                raise AskError(f"{self.path} cannot be written: {error.strerror}.") from None

    def sync_name(self) -> None:
        """The same for the file's being there."""
        directory = os.open(self.path.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
