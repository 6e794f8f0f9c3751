"""Blobs in a bucket: an object for each.

A blob is gathered in parts, in a file of this machine that has no name, and a part is sent when it
is full: so neither memory nor disk grow with the file, nor does a slow client keep others waiting.
What fits one part is one PUT. Where and as whom S3 is asked is AWS's own business: its variables,
its files of configuration, the role of the machine.

The calls wait for the network and not for the disk: gevent can wait for that by itself.
"""

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from io import FileIO
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as UnreachedError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from shared.blobs.base import PIECE, Blobs, NewBlob, Wait
from shared.errors import SettingsError, Unavailable

log = logging.getLogger(__name__)

# S3 takes none that is smaller than 5 MiB, but for the last.
PART = 8 * 1024 * 1024
# Together less than a transaction may be idle (`shared/db.py`): a batch reads its file within one.
_CONNECT_SECONDS = 3
_ANSWER_SECONDS = 12
_TRIES = 2
# For a file that is brought here whole.
_SLOWEST_BYTES_PER_SECOND = 1024 * 1024
_PATIENCE_SECONDS = 60.0

_FAILURES = (BotoCoreError, ClientError, ResponseParserError, OSError)
_WRONGLY_SET = "TREADLE_BLOBS names S3, and what AWS's variables say of it is wrong: {error}"
_NO_CREDENTIALS = (
    "TREADLE_BLOBS names S3 and no credentials for it were found: set AWS_ACCESS_KEY_ID and"
    " AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role."
)


class Bucket(Blobs):
    def __init__(self, address: str, wait: Wait) -> None:
        """`address` is s3://bucket/prefix."""
        parts = urlsplit(address)
        self._name = parts.netloc
        prefix = parts.path.strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._wait = wait
        try:
            self._client = _client()
        except BotoCoreError as error:
            raise SettingsError(_WRONGLY_SET.format(error=error)) from error
        except ValueError as error:  # which quotes the endpoint, and with it who knows what
            told = "no address can be made of AWS_ENDPOINT_URL_S3 and AWS_DEFAULT_REGION."
            raise SettingsError(_WRONGLY_SET.format(error=told)) from error

    def begin(self, blob_id: str) -> NewBlob:
        with _reached():
            return _NewObject(self._client, self._object(blob_id), self._wait)

    def pieces(self, blob_id: str, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """A connection that is cut is followed by another, as long as each brings something."""
        end = None if length is None else start + length
        while end is None or start < end:
            began = start
            try:
                for piece in self._read(blob_id, start, end):
                    start += len(piece)
                    yield piece
                return
            except _FAILURES as error:
                if start == began:
                    raise _unavailable(error) from error

    @contextmanager
    def file(self, blob_id: str) -> Generator[IO[bytes]]:
        """It has no name, so nothing of it outlives this process."""
        with _reached():
            file = _nameless()
        with file:
            with _reached():
                for piece in _in_time(self.pieces(blob_id)):
                    self._wait(_write, file, piece)
                file.seek(0)
            yield file

    def delete(self, blob_id: str) -> None:
        asked = self._object(blob_id)
        with _reached():
            self._client.delete_object(**asked)
            found = self._client.list_multipart_uploads(Bucket=self._name, Prefix=asked["Key"])
            for upload in found.get("Uploads", []):
                if upload["Key"] == asked["Key"]:
                    _abort(self._client, asked, upload["UploadId"])

    def look(self) -> None:
        """Asks for what `delete` asks for: that tells more than a HEAD of the bucket."""
        try:
            self._client.list_multipart_uploads(
                Bucket=self._name, Prefix=self._prefix, MaxUploads=1
            )
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise SettingsError(_NO_CREDENTIALS) from error
        except (UnreachedError, HTTPClientError) as error:
            endpoint = urlsplit(str(self._client.meta.endpoint_url)).netloc.rpartition("@")[2]
            told = f"S3 cannot be reached at {endpoint} ({_reason(error)})"
            raise Unavailable(
                f"{told}: until it can, files are neither taken nor given."
            ) from error
        except _FAILURES as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> Exception:
        reason = _reason(error)
        if reason == "NoSuchBucket":
            return SettingsError(
                f"TREADLE_BLOBS names the bucket {self._name}, which is not there."
            )
        if isinstance(error, ClientError) and _status(error) >= 500:
            return Unavailable(f"S3 does not answer as it should ({reason}).")
        return SettingsError(f"S3 refuses us the bucket {self._name} ({reason}).")

    def _object(self, blob_id: str) -> dict[str, str]:
        return {"Bucket": self._name, "Key": self._prefix + blob_id}

    def _read(self, blob_id: str, start: int, end: int | None) -> Generator[bytes]:
        last = "" if end is None else end - 1
        try:
            got = self._client.get_object(**self._object(blob_id), Range=f"bytes={start}-{last}")
        except ClientError as error:
            if _reason(error) == "InvalidRange":  # nothing is left, or nothing is there
                return
            raise
        with closing(got["Body"]) as body:
            while piece := body.read(PIECE):
                yield piece


class _NewObject(NewBlob):
    def __init__(self, client: Any, asked: dict[str, str], wait: Wait) -> None:
        super().__init__()
        self._client = client
        self._asked = asked
        self._wait = wait
        self._part = _nameless()
        self._part_size = 0
        self._upload_id = ""
        self._sent: list[dict[str, Any]] = []

    def write(self, piece: bytes) -> None:
        left = memoryview(piece)
        with _reached():
            while left:
                taken = left[: PART - self._part_size]
                self._wait(self._gather, taken)
                left = left[len(taken) :]
                if self._part_size == PART:
                    self._send_part()

    def keep(self) -> None:
        with _reached():
            if not self._upload_id:
                self._part.seek(0)
                self._client.put_object(**self._asked, Body=self._part)
                return
            if self._part_size:
                self._send_part()
            self._client.complete_multipart_upload(
                **self._asked, UploadId=self._upload_id, MultipartUpload={"Parts": self._sent}
            )
        self._upload_id = ""

    def drop(self) -> None:
        """Where S3 does not hear it, what was sent is deleted with the bytes that no file has."""
        self._part.close()
        if not self._upload_id:
            return
        try:
            _abort(self._client, self._asked, self._upload_id)
        except _FAILURES as error:
            log.warning("upload not ended in S3", extra={"error": _reason(error)})

    def _gather(self, piece: memoryview) -> None:
        _write(self._part, piece)
        self._sha256.update(piece)
        self._part_size += len(piece)
        self.size += len(piece)

    def _send_part(self) -> None:
        if not self._upload_id:
            begun = self._client.create_multipart_upload(**self._asked)
            self._upload_id = begun["UploadId"]
        number = len(self._sent) + 1
        self._part.seek(0)
        sent = self._client.upload_part(
            **self._asked, UploadId=self._upload_id, PartNumber=number, Body=self._part
        )
        self._sent.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._part.seek(0)
        self._part.truncate()
        self._part_size = 0


def _nameless() -> FileIO:
    return TemporaryFile(buffering=0)


def _write(file: FileIO, piece: bytes | memoryview) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def _in_time(pieces: Generator[bytes]) -> Iterator[bytes]:
    """Raises Unavailable where they come too slowly."""
    began, taken = time.monotonic(), 0
    with closing(pieces):
        for piece in pieces:
            taken += len(piece)
            yield piece
            patience = _PATIENCE_SECONDS + taken / _SLOWEST_BYTES_PER_SECOND
            if time.monotonic() - began > patience:
                raise Unavailable("The file's bytes come too slowly from S3.")


def _client() -> Any:
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        # Each request is signed with a hash of its body, and other S3s know no newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=64,
    )
    session: Any = Session()
    return session.create_client("s3", config=config)


def _abort(client: Any, asked: dict[str, str], upload_id: str) -> None:
    try:
        client.abort_multipart_upload(**asked, UploadId=upload_id)
    except ClientError as error:
        if _reason(error) != "NoSuchUpload":
            raise


@contextmanager
def _reached() -> Generator[None]:
    try:
        yield
    except _FAILURES as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(f"The files' bytes cannot be reached now ({_reason(error)}).")


def _reason(error: Exception) -> str:
    """Without what else the error says, which may be of another's machines."""
    if isinstance(error, ClientError):
        return str(_told(error).get("Error", {}).get("Code", "unknown"))
    return type(error).__name__


def _status(error: ClientError) -> int:
    return int(_told(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _told(error: ClientError) -> dict[str, Any]:
    answer: Any = error.response
    return answer
