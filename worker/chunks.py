"""A streamed chat completion, put together from its chunks while they are told to listeners.

Lines of server-sent events, `data: {…}`, ended by `data: [DONE]`. A stream that just ends, without
a `finish_reason` and without `[DONE]`, was cut off: it is no answer.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import orjson

from shared.errors import ModelError
from shared.ids import random_text
from worker.deltas import Deltas

_LARGEST_LINE = 4 * 1024 * 1024


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


def malformed(what: str, quoted: str = "") -> ModelError:
    message = f"The model server sent {what}" + ("" if quoted else ".")
    return ModelError(message, code="server_error", transient=True, quoted=quoted)


class _Completion:
    def __init__(self, deltas: Deltas) -> None:
        self._deltas = deltas
        self._texts: dict[str, str] = {}
        self._calls: list[dict[str, Any]] = []
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
        message = {
            "content": self._texts.get("content"),
            "refusal": self._texts.get("refusal"),
            "tool_calls": self._calls,
        }
        if not self._calls and not self._texts:
            message["content"] = ""
        choice = {"message": message, "finish_reason": self._finish_reason}
        return {"choices": [choice], "usage": self._usage}

    def _add_delta(self, delta: dict[str, Any]) -> None:
        for name, part in (("content", "text"), ("refusal", "refusal")):
            text = delta.get(name)
            if isinstance(text, str) and text:
                self._texts[name] = self._texts.get(name, "") + text
                self._deltas.say(text, part)
        for call in cast("list[dict[str, Any]]", delta.get("tool_calls") or []):
            self._add_call(call)

    def _add_call(self, delta: dict[str, Any]) -> None:
        """Pieces of a call share its index; some servers send whole calls, all with index 0."""
        function: dict[str, Any] = delta.get("function") or {}
        index = self._index_of(delta, function)
        written: Any = function.get("arguments")
        if isinstance(written, str):
            call = self._calls[index]["function"]
            at = len(call["arguments"])
            call["arguments"] += written
            self._deltas.arguments(index, at, written)

    def _index_of(self, delta: dict[str, Any], function: dict[str, Any]) -> int:
        index: Any = delta.get("index")
        if not isinstance(index, int) or not 0 <= index < len(self._calls):
            return self._begin_call(delta, function)
        another = function.get("name") and delta.get("id") not in (None, self._calls[index]["id"])
        return self._begin_call(delta, function) if another else index

    def _begin_call(self, delta: dict[str, Any], function: dict[str, Any]) -> int:
        taken = {call["id"] for call in self._calls}
        id_ = delta.get("id")
        if not isinstance(id_, str) or not id_ or id_ in taken:
            id_ = f"call_{random_text(24)}"
        name = function["name"]
        if not isinstance(name, str):
            raise TypeError
        self._calls.append({"id": id_, "function": {"name": name, "arguments": ""}})
        self._deltas.call(len(self._calls) - 1, id_, name)
        return len(self._calls) - 1


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > _LARGEST_LINE:
            raise malformed("a line without end")
    yield rest
