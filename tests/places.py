"""Where blobs are kept in tests: a directory, or a bucket of the S3 server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.session import Session

from shared.settings import Settings

in_both = pytest.mark.parametrize("blob_place", ["directory", "bucket"], indirect=True)
in_a_bucket = pytest.mark.parametrize("blob_place", ["bucket"], indirect=True)


def kept(settings: Settings) -> set[str]:
    """The names of all blobs, those that are being written with `.part`."""
    if settings.blobs_are_in_s3:
        return _kept_in(settings.blobs)
    directory = settings.blob_directory
    return {path.name for path in directory.iterdir()} if directory.exists() else set()


@contextmanager
def away(settings: Settings, request: pytest.FixtureRequest) -> Iterator[None]:
    """Where they are cannot be reached; then it is as it was."""
    if settings.blobs_are_in_s3:
        server = request.getfixturevalue("s3_server")
        server.kill()
        yield
        server.start()
        return
    moved = settings.blob_directory.rename(settings.home / "away")
    settings.blob_directory.write_text("no directory")
    yield
    settings.blob_directory.unlink()
    moved.rename(settings.blob_directory)


def _kept_in(address: str) -> set[str]:
    parts = urlsplit(address)
    prefix = parts.path.strip("/") + "/"
    client = _client(os.environ["AWS_ENDPOINT_URL_S3"])
    asked = {"Bucket": parts.netloc, "Prefix": prefix}
    whole = client.list_objects_v2(**asked).get("Contents", [])
    begun = client.list_multipart_uploads(**asked).get("Uploads", [])
    names = {one["Key"] for one in whole} | {f"{one['Key']}.part" for one in begun}
    return {name.removeprefix(prefix) for name in names}


@cache
def _client(endpoint: str) -> Any:
    session: Any = Session()
    return session.create_client("s3", endpoint_url=endpoint)
