"""Files on their way in and out: between a request and the blobs, never held whole.

An upload is a multipart form whose part `file` goes to its blob while it comes; the other parts are
short. The form is judged when it is complete, as its parts may come in any order.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import quote

from flask import Response, request
from werkzeug.datastructures import ContentRange
from werkzeug.exceptions import (
    ClientDisconnected,
    RequestedRangeNotSatisfiable,
    RequestEntityTooLarge,
)
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from api import received
from api.runtime import runtime
from shared.blobs import NewBlob
from shared.errors import Invalid
from shared.store import files

LARGEST_FILE = 512 * 1024 * 1024
# All that is no file: headers, names, what stands between.
_LARGEST_REST = 1024 * 1024
_LARGEST_VALUE = 64 * 1024
_MOST_PARTS = 20

_NO_FORM = (
    "Expected a multipart/form-data body with the parts 'file' and 'purpose'. (HINT: Clients make"
    " one by themselves when they are given a file.)"
)
_BROKEN = "We could not parse the multipart form of your request."


@dataclass(frozen=True)
class FormFile:
    """What a form holds in a file's place."""

    filename: str


@dataclass
class Form:
    """By name, the values of the parts: text, or a FormFile."""

    blob: NewBlob
    values: dict[str, Any] = field(default_factory=dict)
    _name: str = ""
    _value: list[bytes] = field(default_factory=list)
    _is_file: bool = False

    def take(self, event: Event) -> None:
        """Raises ValueError for what is no form."""
        if isinstance(event, File | Field):
            self._begin(event)
        elif isinstance(event, Data):
            self._add(event.data)
            if not event.more_data and not self._is_file:
                self.values[self._name] = b"".join(self._value).decode()

    def _begin(self, event: File | Field) -> None:
        if not event.name:
            raise ValueError("a part without a name")
        self._name, self._value = event.name, []
        self._is_file = isinstance(event, File)
        if isinstance(event, File):
            if isinstance(self.values.get(event.name), FormFile):
                raise Invalid("Only one file can be uploaded at a time.", param=event.name)
            self.values[event.name] = FormFile(event.filename)

    def _add(self, data: bytes) -> None:
        if not self._is_file:
            self._value.append(data)
            if sum(map(len, self._value)) > _LARGEST_VALUE:
                raise RequestEntityTooLarge
        elif self._name == "file" and data:
            if self.blob.size + len(data) > LARGEST_FILE:
                raise RequestEntityTooLarge
            self.blob.write(data)


def require_form() -> bytes:
    """The boundary of its parts. Raises Invalid where this request brings no form."""
    boundary = request.mimetype_params.get("boundary", "").encode("ascii", "replace")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise Invalid(_NO_FORM)
    return boundary


def receive(upload: ExitStack, file_id: str) -> Form:
    """The form of this request, whose file is written and waits to be kept; what is not kept is
    dropped with `upload`. Raises Invalid, and as `received.pieces` does."""
    boundary = require_form()
    form = Form(runtime().blobs.begin(file_id))
    upload.callback(form.blob.drop)
    decoder = MultipartDecoder(boundary, max_form_memory_size=_LARGEST_REST, max_parts=_MOST_PARTS)
    try:
        for piece in received.pieces(LARGEST_FILE + _LARGEST_REST):
            decoder.receive_data(piece)
            for event in _events(decoder):
                form.take(event)
        decoder.receive_data(None)
        for event in _events(decoder):
            form.take(event)
    except (ValueError, ClientDisconnected):
        raise Invalid(_BROKEN) from None
    return form


def _events(decoder: MultipartDecoder) -> Iterator[Event]:
    event = decoder.next_event()
    while not isinstance(event, NeedData | Epilogue):
        yield event
        event = decoder.next_event()


def send(file: files.File) -> Response:
    """Its bytes, or those that were asked for."""
    asked = request.range
    begin, end, status = 0, file.size, 200
    if asked is not None and asked.units == "bytes" and len(asked.ranges) == 1:
        found = asked.range_for_length(file.size)
        if found is None:
            raise RequestedRangeNotSatisfiable(file.size)
        begin, end, status = *found, 206
    pieces = runtime().blobs.pieces(file.id, begin, end - begin)
    # Now, while there is still an answer to give if it cannot be read.
    first = next(pieces, b"") if begin < end else b""
    body = chain([first], pieces) if first else []
    response = Response(body, status, mimetype="application/octet-stream")
    response.call_on_close(pieces.close)
    response.content_length = end - begin
    if status == 206:
        response.content_range = ContentRange("bytes", begin, end, file.size)
    response.accept_ranges = "bytes"
    response.headers["Content-Disposition"] = (
        f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
