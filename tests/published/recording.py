"""Every answer that a test gets is kept as it is read, and held against the published interface
when the test has ended. Nothing waits for that: the bytes are noted in passing."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson
from flask import Flask

from tests.published import interface

# Byte for byte as recorded, and with an id where a stream can be resumed from it.
_EVENT = re.compile(r"event: (.+)\ndata: (.+)")
_NUMBERED = re.compile(r"id: \d+\.\d+\nevent: (.+)\ndata: (.+)|event: (done)\ndata: (.+)")


@dataclass
class Answer:
    method: str
    path: str
    status: int = 0
    content_type: str = ""
    pieces: list[bytes] = field(default_factory=list)
    whole: bool = False  # read to its end

    @property
    def text(self) -> str:
        return b"".join(self.pieces).decode()

    def __str__(self) -> str:
        return f"{self.method} {self.path} answered {self.status}"


class Recording:
    """What this process was answered."""

    def __init__(self) -> None:
        self._unjudged: list[Answer] = []
        self.operations: set[str] = set()  # answered with success
        self.events: set[str] = set()

    def begin(self, method: str, path: str) -> Answer:
        answer = Answer(method, path)
        if not interface.is_outside(path):
            self._unjudged.append(answer)
        return answer

    def flaws(self) -> list[str]:
        """Of what was answered since the last time; each a sentence."""
        answers, self._unjudged = self._unjudged, []
        return [f"{answer}, but {flaw}" for answer in answers for flaw in self._flaws(answer)]

    def _flaws(self, answer: Answer) -> Iterator[str]:
        operation = interface.operation_of(answer.method, answer.path)
        if answer.status >= 400:
            yield from _flaws_of_json(answer, interface.INTERFACE["error"])
        elif operation is None:
            yield "no such operation is published"
        elif operation in interface.BYTES:
            self.operations.add(operation)
            yield from _flaws_of_bytes(answer, interface.BYTES[operation])
        elif answer.status == 200:
            self.operations.add(operation)
            if answer.content_type == "text/event-stream; charset=utf-8":
                yield from self._flaws_of_stream(answer, operation)
            elif operation in interface.OWN_STREAMS:
                yield f"not with events but {answer.content_type}"
            else:
                yield from _flaws_of_json(answer, interface.OPERATIONS[operation])
        elif answer.status:
            yield "200 is the only success that is published"

    def _flaws_of_stream(self, answer: Answer, operation: str) -> Iterator[str]:
        if not interface.streams(operation):
            yield "it does not stream"
        frame = _NUMBERED if operation in interface.OWN_STREAMS else _EVENT
        *frames, rest = answer.text.split("\n\n")
        name = ""
        for text in frames:
            if text.startswith(":"):
                continue
            if (told := frame.fullmatch(text)) is None:
                yield f"this is no event: {text[:200]!r}"
                continue
            name, data = (part for part in told.groups() if part is not None)
            self.events.add(name)
            if flaw := interface.flaw_of_event(name, _data(data)):
                yield f"{name}: {flaw}"
        if answer.whole and (name != "done" or rest):
            yield f"its stream ends with {name} and {rest[:200]!r}"


RECORDING = Recording()


def recorded(app: Flask, recording: Recording = RECORDING) -> Flask:
    """The same application; what it answers is recorded."""
    inner = app.wsgi_app

    def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = recording.begin(environ["REQUEST_METHOD"], environ["PATH_INFO"])

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            answer.status = int(status[:3])
            answer.content_type = dict(headers).get("Content-Type", "")
            return start_response(status, headers, *error)

        return _Read(inner(environ, start), answer)

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]
    return app


class RecordedTransport(httpx2.HTTPTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Read(response.stream, _begin(request, response))
        return response


class RecordedAsyncTransport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AsyncRead(response.stream, _begin(request, response))
        return response


def recorded_http(**options: Any) -> httpx2.Client:
    """A client over the network; what it is answered is recorded."""
    return httpx2.Client(transport=RecordedTransport(), **options)


class _Read(httpx2.SyncByteStream):
    def __init__(self, stream: Any, answer: Answer) -> None:
        self._stream = stream
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._answer.pieces.append(piece)
            yield piece
        self._answer.whole = True

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


class _AsyncRead(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, answer: Answer) -> None:
        self._stream = stream
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._answer.pieces.append(piece)
            yield piece
        self._answer.whole = True

    async def aclose(self) -> None:
        await self._stream.aclose()


def _begin(request: httpx2.Request, response: httpx2.Response) -> Answer:
    answer = RECORDING.begin(request.method, request.url.path)
    answer.status = response.status_code
    answer.content_type = response.headers.get("Content-Type", "")
    return answer


def _flaws_of_bytes(answer: Answer, kind: str) -> Iterator[str]:
    if answer.status not in (200, 206):
        yield "200 and 206 are the only successes of bytes"
    elif answer.content_type != kind:
        yield f"not with bytes but {answer.content_type}"


def _flaws_of_json(answer: Answer, name: str) -> Iterator[str]:
    if answer.content_type != "application/json":
        yield f"not with JSON but {answer.content_type}"
    elif answer.whole and (flaw := interface.flaw(orjson.loads(answer.text), name)):
        yield flaw


def _data(text: str) -> Any:
    return text if text == "[DONE]" else orjson.loads(text)
