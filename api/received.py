"""The body that came with a request."""

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge


def body() -> bytes:
    """All of it. Raises RequestEntityTooLarge, or ClientDisconnected for one that was cut off,
    stopped coming or was framed wrongly."""
    read = request.get_data(cache=False)
    # Of a body that does not say its length, werkzeug takes the first bytes for the whole.
    chunked = request.content_length is None and request.environ.get("wsgi.input_terminated")
    if chunked and request.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge
    return read
