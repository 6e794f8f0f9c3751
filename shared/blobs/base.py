"""What blobs are to whoever writes and reads them, wherever they are kept."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import IO, Any, Protocol, TypeVar

PIECE = 256 * 1024

T = TypeVar("T")


class Wait(Protocol):
    def __call__(self, act: Callable[..., T], *arguments: Any) -> T: ...


def in_place(act: Callable[..., T], *arguments: Any) -> T:
    return act(*arguments)


class NewBlob(ABC):
    """A blob that is being written. Whoever began it drops it in the end, kept or not."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> bytes:
        return self._sha256.digest()

    @abstractmethod
    def write(self, piece: bytes) -> None: ...

    @abstractmethod
    def keep(self) -> None:
        """From here on it can be read, and no crash takes it."""

    @abstractmethod
    def drop(self) -> None:
        """What was not kept is gone."""


class Blobs(ABC):
    """All methods may wait for where the blobs are, and raise Unavailable where that refuses."""

    @abstractmethod
    def begin(self, blob_id: str) -> NewBlob: ...

    @abstractmethod
    def pieces(self, blob_id: str, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """From `start` on. Opened when the first is asked for."""

    @abstractmethod
    def file(self, blob_id: str) -> AbstractContextManager[IO[bytes]]:
        """The whole, for a program that reads a file of this machine: open for reading."""

    @abstractmethod
    def delete(self, blob_id: str) -> None:
        """Whatever there is of it."""

    @abstractmethod
    def look(self) -> None:
        """Whether they can be reached at all. Raises SettingsError where they never will."""
