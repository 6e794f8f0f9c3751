"""The model: one chat completion, asked of the model server and read with care."""

import itertools
import time
from dataclasses import dataclass
from typing import Any, cast

import httpx2
import orjson

from shared import metrics
from shared.embeddings import Embeddings
from shared.errors import CallCut, ModelError
from shared.model_server import (
    LARGEST_ANSWER,
    HttpClient,
    OpenAI,
    answer_to,
    malformed,
    post_to,
    words_of,
)
from shared.rests import until_reset
from shared.settings import Settings
from worker.chunks import MOST_TOOL_CALLS, call_id, read_stream, too_many_calls
from worker.connections import Call, Transport
from worker.deltas import Deltas
from worker.tokens import Tokens

# Streamed, a word comes in a chunk of some hundred bytes.
_LARGEST_STREAM = 16 * LARGEST_ANSWER
_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
# A pool of connections is searched from end to end, so a thousand calls share several.
_RUNS_PER_CLIENT = 100

Usage = dict[str, Any]


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Answer:
    text: str | None
    refusal: str | None
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str  # stop, length or content_filter
    usage: Usage
    rest_seconds: float  # that the model server wants to be left alone for


class Model:
    def __init__(self, settings: Settings) -> None:
        self.tokens = Tokens(settings)
        self.embeddings = Embeddings(settings)
        self._settings = settings
        self._clients = [
            OpenAI(
                settings.model_base_url,
                settings.model_api_key,
                HttpClient(transport=Transport(_LIMITS)),
            )
            for _ in range(1 + settings.concurrency // _RUNS_PER_CLIENT)
        ]
        self._turns = itertools.cycle(
            [post_to(client, "chat/completions") for client in self._clients]
        )

    def close(self) -> None:
        self.tokens.close()
        self.embeddings.close()
        for client in self._clients:
            client.close()

    def ask(self, request: dict[str, Any], seconds: float, call: Call, deltas: Deltas) -> Answer:
        """`request` is a chat completion's body; it is streamed if somebody hears the deltas.

        Raises ModelError, or CallCut for a cut call.
        """
        body = {**request, "model": self._settings.served_model(request["model"])}
        label = metrics.model_label(self._settings, body["model"])
        try:
            with call, metrics.model_call(label):
                answer = self._ask(body, time.monotonic() + seconds, deltas)
        except ModelError as error:
            if call.was_cut:
                raise CallCut from error
            raise
        metrics.model_answered(label, answer.usage)
        return answer

    def _ask(self, body: dict[str, Any], deadline: float, deltas: Deltas) -> Answer:
        post = next(self._turns)
        try:
            if deltas.heard:
                streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
                with answer_to(post, streamed, deadline, _LARGEST_STREAM) as (chunks, headers):
                    completion = read_stream(chunks, deltas)
            else:
                with answer_to(post, body, deadline) as (chunks, headers):
                    completion = orjson.loads(b"".join(chunks))
        except orjson.JSONDecodeError:
            raise malformed("something that is not JSON") from None
        return _read_answer(completion, until_reset(headers))


def no_usage() -> Usage:
    return _usage({})


def sum_usage(first: Usage, second: Usage) -> Usage:
    """Of two counts of the same shape."""
    return {
        name: sum_usage(cast("Usage", value), second[name])
        if isinstance(value, dict)
        else value + second[name]
        for name, value in first.items()
    }


def _read_answer(data: Any, rest_seconds: float) -> Answer:
    try:
        if error := data.get("error"):
            raise malformed("an error", words_of(error))
        choice = data["choices"][0]
        message = choice["message"]
    except (AttributeError, KeyError, IndexError, TypeError):
        raise malformed("something that is not a chat completion") from None
    finish = choice.get("finish_reason")
    finish = finish if finish in ("length", "content_filter") else "stop"
    tool_calls = _tool_calls(_part(message, "tool_calls"))
    refusal = _text(message, "refusal") or None
    text = _text(message, "content")
    if tool_calls or refusal:
        text = text or None
    elif text is None and finish == "stop":
        raise malformed("a message without content")
    else:
        text = text or ""
    return Answer(
        text=text,
        refusal=refusal,
        tool_calls=tool_calls,
        finish_reason=finish,
        usage=_usage(data.get("usage")),
        rest_seconds=rest_seconds,
    )


def _tool_calls(sent: Any) -> tuple[ToolCall, ...]:
    """Calls as the model made them, broken arguments and unknown names included: whoever runs the
    function judges those."""
    if not sent:
        return ()
    if not isinstance(sent, list):
        raise malformed("tool calls that are no list")
    if len(cast("list[Any]", sent)) > MOST_TOOL_CALLS:
        raise too_many_calls()
    calls: dict[str, ToolCall] = {}
    for one in cast("list[Any]", sent):
        function = _part(one, "function")
        name, arguments = _part(function, "name"), _part(function, "arguments")
        if not isinstance(name, str) or not name:
            raise malformed("a tool call without a name")
        id_ = call_id(_part(one, "id"), calls)
        written = (
            arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
        )
        calls[id_] = ToolCall(id_, name, written)
    return tuple(calls.values())


def _usage(reported: Any) -> Usage:
    """As the wire shows it (contract: `prompt_token_details` really has no s)."""
    prompt, completion = _count(reported, "prompt_tokens"), _count(reported, "completion_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_token_details": {
            "cached_tokens": _count(_part(reported, "prompt_tokens_details"), "cached_tokens")
        },
        "completion_tokens_details": {
            "reasoning_tokens": _count(
                _part(reported, "completion_tokens_details"), "reasoning_tokens"
            )
        },
    }


def _part(value: Any, name: str) -> Any:
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def _text(value: Any, name: str) -> str | None:
    text = _part(value, name)
    return text if isinstance(text, str) else None


def _count(value: Any, name: str) -> int:
    """Model servers report anything; only a sane count is a count."""
    count = _part(value, name)
    sane = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**53
    return count if sane else 0
