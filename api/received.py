"""The body that came with a request."""

import gevent
from flask import request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout

from api.runtime import runtime

# What a body may take to come: so long, and the time of a slow line for its length.
_SECONDS = 30.0
_BYTES_PER_SECOND = 64 * 1024


def body() -> bytes:
    """All of it. Raises RequestEntityTooLarge; BadRequest for one that was cut off, stopped coming
    or was framed wrongly; RequestTimeout for one that comes too slowly."""
    patience = min(_SECONDS, 2 * runtime().settings.idle_seconds)
    seconds = patience + (request.content_length or 0) / _BYTES_PER_SECOND
    with gevent.Timeout(seconds, RequestTimeout("The request body came too slowly.")):
        try:
            return _read()
        except ParseException:
            raise BadRequest("The request body is not framed as HTTP asks.") from None


def _read() -> bytes:
    read = request.get_data(cache=False)
    # Of a body that does not say its length, werkzeug takes the first bytes for the whole.
    chunked = request.content_length is None and request.environ.get("wsgi.input_terminated")
    if chunked and request.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge
    return read
