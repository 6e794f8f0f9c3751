"""A scripted model server over real HTTP: the tests' only double.

By default it answers `You said: …` to the last user message. A script says what comes instead:
`server.script(fail(500), say("hi"))` for the next requests in turn, `server.when("Why?", stall())`
for one question whoever asks it, `server.always(reply)` for all that no script is for.
"""

import json
import re
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one packet
    server: "_Server"

    def do_GET(self) -> None:
        self.server.model.times_listed += 1
        try:
            self.server.model.models(self, {})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self.server.model.tokenize(self, body)
            return
        if self.path.endswith("/embeddings"):
            self.server.model.embedded.append(body)
            self.server.model.embed(self, body)
            return
        try:
            self.server.model.reply_to(body)(self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send_json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.send_raw(status, json.dumps(body).encode(), "application/json", headers)

    def send_raw(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin_events(self) -> None:
        """A text/event-stream, which ends with the connection."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def send_events(self, events: Iterable[Any], until: threading.Event | None = None) -> None:
        self.begin_events()
        for number, event in enumerate(events):
            if number == 1 and until is not None:
                until.wait(30)
            self.wfile.write(framed(event))
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    model: "ModelServer"


class ModelServer:
    def __init__(self) -> None:
        self._http = _Server(("127.0.0.1", 0), Handler)
        self._http.model = self
        self._script: deque[Reply] = deque()
        self._by_question: dict[str, Reply] = {}
        self._always: Reply = echo
        self._changed = threading.Condition()
        self.requests: list[dict[str, Any]] = []
        self.models: Reply = list_models("scripted")
        self.times_listed = 0
        self.tokenize: Reply = fail(404)
        self.embed: Reply = embed
        self.embedded: list[dict[str, Any]] = []
        self.base_url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "ModelServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def script(self, *replies: Reply) -> None:
        self._script.extend(replies)

    def when(self, question: str, reply: Reply) -> None:
        self._by_question[question] = reply

    def always(self, reply: Reply) -> None:
        self._always = reply

    def reset(self) -> None:
        self._always = echo
        self.models = list_models("scripted")
        self.times_listed = 0
        self.tokenize = fail(404)
        self.embed = embed
        self.embedded.clear()
        self._script.clear()
        self._by_question.clear()
        self.requests.clear()

    def reply_to(self, body: dict[str, Any]) -> Reply:
        with self._changed:
            self.requests.append(body)
            self._changed.notify_all()
            reply = self._by_question.get(question_of(body))
            return reply or (self._script.popleft() if self._script else self._always)

    def asked(self, question: str | None = None) -> int:
        """How often this was asked, or anything."""
        return sum(1 for body in self.requests if question in (None, question_of(body)))

    def wait_until_asked(
        self, times: int = 1, question: str | None = None, seconds: float = 20
    ) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.asked(question) >= times, seconds), (
                f"the model was asked {self.asked(question)} times, not {times}"
            )


def embed(handler: Handler, body: dict[str, Any]) -> None:
    """Texts of the same words are near one another: each word adds to one of 384 places."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector_of(text)}
        for index, text in enumerate(body["input"])
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    handler.send_json(200, {"object": "list", "data": data, "model": body["model"], "usage": usage})


def vector_of(text: str) -> list[float]:
    vector = [0.0] * 384
    for word in re.findall(r"\w+", text.lower()):
        vector[zlib.crc32(word.encode()) % 384] += 1.0
    return vector


def question_of(body: dict[str, Any]) -> str:
    """The text of the last user message."""
    for message in reversed(body["messages"]):
        if message["role"] == "user":
            content = message["content"]
            return content if isinstance(content, str) else content[0].get("text", "")
    return ""


def completion(
    body: dict[str, Any], message: dict[str, Any], finish: str = "stop", usage: Any = None
) -> dict[str, Any]:
    counted = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", **message},
                "finish_reason": finish,
                "logprobs": None,
            }
        ],
        "usage": counted if usage is None else usage,
    }


def list_models(*names: str) -> Reply:
    """The answer to GET /models."""
    data = [{"id": name, "object": "model", "created": 7, "owned_by": "us"} for name in names]
    return send(json.dumps({"object": "list", "data": data}).encode())


def echo(handler: Handler, body: dict[str, Any]) -> None:
    say(f"You said: {question_of(body)}")(handler, body)


def say(text: str | None, *, finish: str = "stop", usage: Any = None, **message: Any) -> Reply:
    """Whole, or in pieces of a word where the request streams."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        whole = completion(body, {"content": text, **message}, finish, usage)
        if body.get("stream"):
            handler.send_events([*chunks_of(whole), "[DONE]"])
        else:
            handler.send_json(200, whole)

    return reply


def framed(event: Any) -> bytes:
    data = event if isinstance(event, str) else json.dumps(event)
    return f"data: {data}\n\n".encode()


def pieces(*events: Any, until: threading.Event | None = None) -> Reply:
    """Streams these chunks; `until` holds back what follows the first."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.send_events(events, until)

    return reply


def chunks_of(whole: dict[str, Any]) -> list[dict[str, Any]]:
    choice = whole["choices"][0]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in re.findall(r"\S+\s*|\s+", message["content"] or "")]
    deltas += [{"refusal": message["refusal"]}] if message.get("refusal") else []
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call.get("function", {})
        begun = {"name": function.get("name"), "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, **call, "function": begun}]})
        for piece in re.findall(r".{1,8}", str(function.get("arguments") or "")):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    made = [chunk(delta) for delta in deltas]
    return [*made, chunk({}, choice["finish_reason"]), {"choices": [], "usage": whole["usage"]}]


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}


def after(seconds: float, reply: Reply = echo) -> Reply:
    """A model that takes its time."""

    def slow(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(seconds)
        reply(handler, body)

    return slow


def stall(until: threading.Event | None = None, reply: Reply = echo) -> Reply:
    """Answers when the event is set; without one, never while anybody listens."""
    event = until or threading.Event()

    def stalled(handler: Handler, body: dict[str, Any]) -> None:
        event.wait(60)
        reply(handler, body)

    return stalled


def fail(
    status: int, message: str = "out of order", headers: dict[str, str] | None = None
) -> Reply:
    def reply(handler: Handler, body: dict[str, Any]) -> None:
        error = {"message": message, "type": "error", "param": None, "code": None}
        handler.send_json(status, {"error": error}, headers)

    return reply


def send(content: bytes, kind: str = "application/json", status: int = 200) -> Reply:
    """Any bytes at all."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.send_raw(status, content, kind)

    return reply


def hang_up() -> Reply:
    """Promises a body and closes in the middle of it."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"choices": [')
        handler.close_connection = True

    return reply


def drip(interval: float = 0.2) -> Reply:
    """A byte now and then, for as long as anybody listens."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(interval)

    return reply
