"""Events as text/event-stream: framing, keep-alives, and event ids to resume from."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from flask import Response, request

from api.reading import Reading

# The name and the body of an event; None where nothing happened for a while.
Event = tuple[str, Any]
Events = Iterator[Event | None]

_QUIET_SECONDS = 15.0
_DONE = "event: done\ndata: [DONE]\n\n"
# Raises on a frame without an event line, which a comment is.
_BEARS_NO_COMMENTS = "azsdk"


def response(frames: Iterator[str], read: Reading) -> Response:
    """Leaves the reading when the response is closed, though its first frame was never asked
    for."""
    answer = Response(frames, mimetype="text/event-stream")
    answer.headers["Content-Type"] = "text/event-stream; charset=utf-8"
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["X-Accel-Buffering"] = "no"
    answer.call_on_close(read.close)
    return answer


def frames(events: Events) -> Iterator[str]:
    """Framed byte for byte as recorded: one line of compact JSON, no ids, LF only."""
    return _with_keep_alives(_framed(events))


def numbered_frames(events: Events, after: str | None) -> Iterator[str]:
    """With ids, from behind the one a reader saw last. An id counts the events before it and the
    characters of deltas since, so it means the same however the text was cut into deltas."""
    return _with_keep_alives(_numbered(events, _position(after)))


def _framed(events: Events) -> Iterator[str | None]:
    for event in events:
        yield None if event is None else f"event: {event[0]}\ndata: {_json(event[1])}\n\n"
    yield _DONE


def _numbered(events: Events, seen: tuple[int, int]) -> Iterator[str | None]:
    count = characters = 0
    for event in events:
        if event is None:
            yield None
            continue
        name, body = event
        length = _length(name, body)
        count, characters = (count, characters + length) if length else (count + 1, 0)
        if (count, characters) <= seen:
            continue
        if length and count == seen[0] and characters - length < seen[1]:
            body = _cut(name, body, seen[1] - (characters - length))
        yield f"id: {count}.{characters}\nevent: {name}\ndata: {_json(body)}\n\n"
    yield _DONE


def _with_keep_alives(framed: Iterator[str | None]) -> Iterator[str]:
    """Comments, so that a proxy does not think the stream dead and a lost client is noticed."""
    comments = _BEARS_NO_COMMENTS not in request.headers.get("User-Agent", "").lower()
    return kept_alive(framed, lambda: ": keep-alive\n\n" if comments else "")


def kept_alive(framed: Iterator[str | None], comment: Callable[[], str]) -> Iterator[str]:
    """None stands for a while in which nothing happened; a long one is filled with a comment."""
    spoke = time.monotonic()
    for frame in framed:
        if frame is not None:
            spoke = time.monotonic()
            yield frame
        elif time.monotonic() - spoke > _QUIET_SECONDS:
            spoke = time.monotonic()
            if text := comment():
                yield text


def _json(body: Any) -> str:
    return orjson.dumps(body).decode()


def _position(last_event_id: str | None) -> tuple[int, int]:
    """What cannot be an id of ours resumes from the beginning."""
    count, _, characters = (last_event_id or "").partition(".")
    if not (count.isascii() and count.isdigit() and characters.isascii() and characters.isdigit()):
        return 0, 0
    return int(count[:18]), int(characters[:18])


def _length(name: str, body: Any) -> int:
    """Of a delta, at least 1; 0 for an event that is none."""
    return max(1, sum(len(text) for text in _texts(name, body))) if name.endswith(".delta") else 0


def _texts(name: str, body: Any) -> list[str]:
    delta = body["delta"]
    if name == "thread.message.delta":
        return [part["text"]["value"] for part in delta["content"] if part["type"] == "text"]
    calls = delta["step_details"]["tool_calls"]
    return [call["function"]["arguments"] for call in calls if call["type"] == "function"]


def _cut(name: str, body: Any, seen: int) -> Any:
    """The same delta without its first characters, which were seen."""
    for part in body["delta"].get("content", ()) if name == "thread.message.delta" else ():
        if part["type"] == "text":
            part["text"]["value"] = part["text"]["value"][seen:]
    if name != "thread.message.delta":
        for call in body["delta"]["step_details"]["tool_calls"]:
            call["function"]["arguments"] = call["function"]["arguments"][seen:]
    return body
