"""A model server in every bad state. Nothing it does ends a run that may still be answered."""

import gzip
import json
import time
from collections.abc import Callable
from typing import Any, ClassVar

from tests.faults.fault import FAILURES, Fault
from tests.faults.stage import Stage
from tests.model_server import Handler, Reply, completion, drip, fail, hang_up, pieces, say, send


class Moody(Fault):
    """For some seconds every call is answered in a mood."""

    spoils_calls = True
    seconds: ClassVar[float] = 3.0

    def inject(self, stage: Stage) -> None:
        stage.model.enter(self.mood(stage))

    def heal(self, stage: Stage) -> None:
        """Those who still listen to the mood are cut off."""
        stage.model.calm_down()
        stage.to_model.cut()

    def mood(self, stage: Stage) -> Reply:
        raise NotImplementedError


class Refusing(Fault):
    name = "model: refuses connections"
    rows = (28,)
    seconds = 3.0
    spoils_calls = True

    def inject(self, stage: Stage) -> None:
        stage.to_model.refuse()

    def heal(self, stage: Stage) -> None:
        stage.to_model.accept()


class Silent(Moody):
    name = "model: takes requests and says nothing"
    rows = (29,)

    def mood(self, stage: Stage) -> Reply:
        def wait(handler: Handler, body: dict[str, Any]) -> None:
            stage.model.calm.wait(60)

        return wait


class Dripping(Moody):
    name = "model: a byte now and then, for ever"
    rows = (30,)

    def mood(self, stage: Stage) -> Reply:
        return drip()


class Disconnecting(Fault):
    name = "model: connections break in the middle"
    rows = (31, 32)
    spoils_calls = True

    def inject(self, stage: Stage) -> None:
        for _ in range(10):
            time.sleep(0.3)
            stage.to_model.cut()

    def heal(self, stage: Stage) -> None:
        stage.to_model.accept()


class SentThings(Moody):
    """One thing after the other, whoever asks."""

    def mood(self, stage: Stage) -> Reply:
        replies = self.replies()
        turns = iter(range(1_000_000))

        def reply(handler: Handler, body: dict[str, Any]) -> None:
            replies[next(turns) % len(replies)](handler, body)

        return reply

    def replies(self) -> list[Reply]:
        raise NotImplementedError


class Failing(SentThings):
    name = "model: 500, 502, 503"
    rows = (26,)

    def replies(self) -> list[Reply]:
        return [fail(500), fail(502), fail(503), fail(503, headers={"Retry-After": "1"})]


class Limiting(Moody):
    name = "model: 429, ask again in 5 s"
    rows = (27,)

    def mood(self, stage: Stage) -> Reply:
        return fail(429, "slower", {"Retry-After": "5"})


class LimitingLong(Moody):
    name = "model: 429, ask again in an hour"
    rows = (27,)
    seconds: ClassVar[float] = 1.5
    permits = frozenset({FAILURES})

    def mood(self, stage: Stage) -> Reply:
        return fail(429, "slower", {"Retry-After": "3600"})


class Nonsense(SentThings):
    name = "model: answers that are none"
    rows = (31, 32, 34)

    def replies(self) -> list[Reply]:
        half = {"choices": [{"index": 0, "delta": {"content": "half"}, "finish_reason": None}]}
        zipped = {"Content-Encoding": "gzip"}
        return [
            send(b"<html><h1>It works!</h1></html>", "text/html"),
            send(b"not json"),
            send(b""),
            send(b'{"choices": []}'),
            send(b'{"error": {"message": "overloaded"}}'),
            hang_up(),
            _unless_streamed(say(None), pieces(half)),
            _unless_streamed(say(None), pieces(half, {"error": {"message": "overloaded"}})),
            _unless_streamed(say(None), pieces("{broken")),
            _sent_with(zipped, b"this is no gzip"),
        ]


class Endless(SentThings):
    name = "model: bodies without end"
    rows = (32, 62)

    def replies(self) -> list[Reply]:
        def pour(handler: Handler, body: dict[str, Any]) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(1 << 30))
            handler.end_headers()
            for _ in range(1 << 12):
                handler.wfile.write(b" " * (1 << 18))

        bomb = gzip.compress(b" " * (64 << 20))
        return [pour, _sent_with({"Content-Encoding": "gzip"}, bomb)]


class BrokenToolCalls(SentThings):
    name = "model: broken tool calls"
    rows = (33,)

    def replies(self) -> list[Reply]:
        def called(count: int = 1, **call: Any) -> Reply:
            whole = {"id": "call_1", "type": "function", **call}
            return say(None, finish="tool_calls", tool_calls=[whole] * count)

        return [
            called(function={}),
            called(function={"name": 7, "arguments": "{}"}),
            called(1000, function={"name": "look", "arguments": "{}"}),
            _unless_streamed(_raw_calls("none"), _raw_calls("none")),
        ]


class OddUsage(SentThings):
    name = "model: usage that is missing, negative or no number"
    rows = (35,)
    spoils_calls = True

    def replies(self) -> list[Reply]:
        def echo_with(usage: Any) -> Reply:
            def reply(handler: Handler, body: dict[str, Any]) -> None:
                question = next(m["content"] for m in body["messages"][::-1] if m["role"] == "user")
                say(f"You said: {question}", usage=usage)(handler, body)

            return reply

        odd = [
            {},
            [],
            "many",
            {"prompt_tokens": -1},
            {"prompt_tokens": 1.5},
            {"total_tokens": None},
        ]
        return [echo_with(usage) for usage in odd]


def _unless_streamed(whole: Reply, streamed: Reply) -> Reply:
    def reply(handler: Handler, body: dict[str, Any]) -> None:
        (streamed if body.get("stream") else whole)(handler, body)

    return reply


def _raw_calls(calls: Any) -> Reply:
    def reply(handler: Handler, body: dict[str, Any]) -> None:
        whole = completion(body, {"content": None, "tool_calls": calls}, "tool_calls")
        handler.send_raw(200, json.dumps(whole).encode(), "application/json")

    return reply


def _sent_with(
    headers: dict[str, str], content: bytes
) -> Callable[[Handler, dict[str, Any]], None]:
    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.send_raw(200, content, "application/json", headers)

    return reply
