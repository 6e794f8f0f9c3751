"""The body that came with a request."""

import time
from collections.abc import Iterator

import gevent
from flask import request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout

from api import current
from api.runtime import runtime

# What a body may take to come: so long, and the time of a slow line for its length.
_SECONDS = 30.0
_BYTES_PER_SECOND = 64 * 1024
# Of one that is taken in pieces, as slow a line as that.
_SLOWEST_BYTES_PER_SECOND = 32 * 1024
_WRONGLY_FRAMED = "The request body is not framed as HTTP asks."
_TOO_SLOWLY = "The request body came too slowly."
_PIECE = 256 * 1024


def body() -> bytes:
    """All of it. Raises RequestEntityTooLarge; BadRequest for one that was cut off, stopped coming
    or was framed wrongly; RequestTimeout for one that comes too slowly."""
    seconds = _patience() + (current.asked().content_length or 0) / _BYTES_PER_SECOND
    with gevent.Timeout(seconds, RequestTimeout(_TOO_SLOWLY)):
        try:
            return _read()
        except ParseException:
            raise BadRequest(_WRONGLY_FRAMED) from None


def _read() -> bytes:
    asked = current.asked()
    read = asked.get_data(cache=False)
    # Of a body that does not say its length, werkzeug takes the first bytes for the whole.
    chunked = asked.content_length is None and asked.environ.get("wsgi.input_terminated")
    if chunked and asked.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge
    return read


def pieces(most: int) -> Iterator[bytes]:
    """It as it comes, at most so many bytes of it: for what is too large to be held whole. Raises
    as `body` does, and RequestTimeout as soon as too little has come for the time that is over."""
    request.max_content_length = most
    began, taken = time.monotonic(), 0
    while True:
        until = began + _patience() + taken / _SLOWEST_BYTES_PER_SECOND
        left = until - time.monotonic()
        if left <= 0:
            raise RequestTimeout(_TOO_SLOWLY)
        with gevent.Timeout(left, RequestTimeout(_TOO_SLOWLY)):
            try:
                piece = request.stream.read(_PIECE)
            except ParseException:
                raise BadRequest(_WRONGLY_FRAMED) from None
        if not piece:
            return
        taken += len(piece)
        yield piece


def _patience() -> float:
    return min(_SECONDS, 2 * runtime().settings.idle_seconds)
