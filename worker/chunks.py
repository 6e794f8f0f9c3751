"""A streamed chat completion, put together from its chunks while they are told to listeners.

Lines of server-sent events, `data: {…}`, ended by `data: [DONE]`. A stream that just ends, without
a `finish_reason` and without `[DONE]`, was cut off: it is no answer.
"""

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, cast

import orjson

from shared.errors import ModelError
from shared.ids import random_text
from shared.model_server import LARGEST_ANSWER, malformed
from worker.deltas import Deltas

MOST_TOOL_CALLS = 10_000
_LARGEST_LINE = 4 * 1024 * 1024
_USABLE_ID = re.compile(r"[!-~]{1,200}")


def read_stream(pieces: Iterable[bytes], deltas: Deltas) -> dict[str, Any]:
    """The completion as if it had come whole. Raises ModelError."""
    completion = _Completion(deltas)
    for line in _lines(pieces):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            completion.ended = True
            break
        completion.add(orjson.loads(data))
    return completion.whole()


def too_many_calls() -> ModelError:
    """It was understood well: asked again it would call as much."""
    return ModelError(
        f"The model made more than {MOST_TOOL_CALLS} tool calls in one turn.",
        code="server_error",
        transient=False,
    )


def call_id(sent: Any, taken: Container[str]) -> str:
    """A tool call's own id, unless it has none that all can handle or shares it with another."""
    usable = isinstance(sent, str) and _USABLE_ID.fullmatch(sent) and sent not in taken
    return sent if usable else f"call_{random_text(24)}"


@dataclass
class _Call:
    number: int
    id: str
    sent_id: Any
    name: str
    arguments: StringIO = field(default_factory=StringIO)


class _Completion:
    def __init__(self, deltas: Deltas) -> None:
        self._deltas = deltas
        self._texts: dict[str, StringIO] = {}
        self._calls: dict[str, _Call] = {}  # by id
        self._newest: dict[Any, _Call] = {}  # by the server's index, which several may share
        self._size = 0
        self._finish_reason: Any = None
        self._usage: Any = None
        self.ended = False

    def add(self, chunk: Any) -> None:
        try:
            if chunk.get("error"):
                raise malformed("an error", str(chunk["error"])[:500])
            self._usage = chunk.get("usage") or self._usage
            choices: list[dict[str, Any]] = chunk.get("choices") or []
            for choice in choices[:1]:
                self._finish_reason = choice.get("finish_reason") or self._finish_reason
                self._add_delta(choice.get("delta") or {})
        except (AttributeError, KeyError, TypeError, IndexError):
            raise malformed("a chunk that is not one of a chat completion") from None

    def whole(self) -> dict[str, Any]:
        if not self.ended and self._finish_reason is None:
            raise malformed("a stream that broke off")
        message: dict[str, Any] = {name: text.getvalue() for name, text in self._texts.items()}
        if not self._calls and not message:
            message["content"] = ""
        message["tool_calls"] = [
            {
                "id": call.id,
                "function": {"name": call.name, "arguments": call.arguments.getvalue()},
            }
            for call in self._calls.values()
        ]
        choice = {"message": message, "finish_reason": self._finish_reason}
        return {"choices": [choice], "usage": self._usage}

    def _add_delta(self, delta: dict[str, Any]) -> None:
        for name, part in (("content", "text"), ("refusal", "refusal")):
            text = delta.get(name)
            if isinstance(text, str) and text:
                self._take(text)
                self._texts.setdefault(name, StringIO()).write(text)
                self._deltas.say(text, part)
        for call in cast("list[dict[str, Any]]", delta.get("tool_calls") or []):
            self._add_call(call)

    def _add_call(self, delta: dict[str, Any]) -> None:
        """Pieces of a call share its index; some servers send whole calls, all with one index."""
        function: dict[str, Any] = delta.get("function") or {}
        call = self._newest.get(delta.get("index"))
        if call is None or (function.get("name") and delta.get("id") not in (None, call.sent_id)):
            call = self._begin_call(delta, function)
        written: Any = function.get("arguments")
        if isinstance(written, str):
            self._take(written)
            self._deltas.arguments(call.number, call.arguments.tell(), written)
            call.arguments.write(written)

    def _begin_call(self, delta: dict[str, Any], function: dict[str, Any]) -> _Call:
        name = function["name"]
        if not isinstance(name, str):
            raise TypeError
        if len(self._calls) == MOST_TOOL_CALLS:
            raise too_many_calls()
        sent_id = delta.get("id")
        call = _Call(len(self._calls), call_id(sent_id, self._calls), sent_id, name)
        self._calls[call.id] = self._newest[delta.get("index")] = call
        self._take(name)
        self._deltas.call(call.number, call.id, name)
        return call

    def _take(self, text: str) -> None:
        """What is kept has the bounds of an answer that comes whole."""
        self._size += len(text)
        if self._size > LARGEST_ANSWER:
            raise malformed("an answer of more than 16 MB")


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > _LARGEST_LINE:
            raise malformed("a line without end")
    yield rest
