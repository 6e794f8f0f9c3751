"""Somebody else's server of the Assistants API, scripted: it holds no polls, knows no
Idempotency-Key, says nowhere when to ask again, and lists a thread's messages whoever said them.

A run that is asked for completes at its second poll with `You said: …`, unless `server.fates` says
otherwise of its question: one status after the other, for each run of it.
"""

import json
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Body = dict[str, Any]


@dataclass
class AskedRun:
    id: str
    question: str
    fate: str
    body: Body
    headers: dict[str, str]
    polls: int = 0

    def shown(self) -> Body:
        status, _, code = self.fate.partition(":")
        self.polls += 1
        return {
            "id": self.id,
            "thread_id": f"thread_{self.id}",
            "status": status if self.polls > 1 else "in_progress",
            "last_error": {"code": code, "message": "It broke."} if code else None,
            "incomplete_details": {"reason": "max_tokens"} if status == "incomplete" else None,
            "required_action": _asks_for("weather") if status == "requires_action" else None,
            "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
        }


@dataclass
class AssistantsServer:
    fates: dict[str, list[str]] = field(default_factory=dict)
    refusals: list[tuple[int, Body, dict[str, str]]] = field(default_factory=list)
    runs: list[AskedRun] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    assistants: list[Body] = field(default_factory=list)
    deadly: set[str] = field(default_factory=set)  # questions that it does not survive
    key: str = "right"
    held: threading.Event | None = None  # until it is set, no run ends

    port: int = 0  # the same one each time it is started

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self._http = _Http(("127.0.0.1", self.port), _Handler)
        self._http.script = self
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Those that it serves are left in the middle of a word."""
        self._http.shutdown()
        self._http.server_close()
        for connection in self._http.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def refuse(self, status: int, code: str | None = None, **headers: str) -> None:
        """The next run that is asked for."""
        error = {"message": f"Refused with {status}.", "code": code}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.refusals.append((status, {"error": error}, named))

    def asked(self) -> list[str]:
        return [run.question for run in self.runs]

    def begin(self, body: Body, headers: dict[str, str]) -> Body:
        question = body["thread"]["messages"][-1]["content"]
        fates = self.fates.get(question, [])
        fate = fates.pop(0) if fates else "completed"
        run = AskedRun(f"r{len(self.runs)}", question, fate, body, headers)
        self.runs.append(run)
        return {"id": run.id, "thread_id": f"thread_{run.id}", "status": "queued"}

    def messages(self, run: AskedRun) -> Body:
        brought = [{**one, "run_id": None} for one in run.body["thread"]["messages"]]
        said = {"role": "assistant", "content": f"You said: {run.question}", "run_id": run.id}
        return {"data": [_with_parts(one) for one in (*brought, said)], "has_more": False}


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    script: AssistantsServer

    def __init__(self, *arguments: Any) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(*arguments)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Those that were left in the middle of a word."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    server: _Http

    def do_GET(self) -> None:
        self._answer(
            (r"/v1/assistants\?limit=1", lambda: {"data": []}),
            (r"/v1/assistants/(\w+)", self._assistant),
            (r"/v1/threads/thread_(\w+)/runs/\w+", lambda run: self._poll(_of(self, run))),
            (r"/v1/threads/thread_(\w+)/messages.*", lambda run: self._listed(_of(self, run))),
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(
            (r"/v1/assistants", lambda: self._made(body)),
            (r"/v1/threads/runs", lambda: self._begin(body)),
            (r"/v1/threads/\w+/runs/(\w+)/cancel", lambda run: self._cancel(run)),
        )

    def _answer(self, *routes: tuple[str, Callable[..., Body | None]]) -> None:
        script = self.server.script
        if self.headers["Authorization"] != f"Bearer {script.key}":
            self._send(401, {"error": {"message": "Incorrect API key.", "code": "invalid_api_key"}})
            return
        for pattern, act in routes:
            if found := re.fullmatch(pattern, self.path):
                answer = act(*found.groups())
                if answer is not None:
                    self._send(200, answer)
                return
        self._send(404, {"error": {"message": f"Nothing at {self.path}.", "code": None}})

    def _made(self, body: Body) -> Body:
        self.server.script.assistants.append(body)
        return {"id": f"asst_{len(self.server.script.assistants)}", **body}

    def _assistant(self, id_: str) -> Body | None:
        if id_.startswith("asst_"):
            return {"id": id_}
        self._send(404, {"error": {"message": f"No assistant found with id '{id_}'."}})
        return None

    def _begin(self, body: Body) -> Body | None:
        script = self.server.script
        if body["thread"]["messages"][-1]["content"] in script.deadly:
            self.close_connection = True
            return None
        if script.refusals:
            self._send(*script.refusals.pop(0))
            return None
        return script.begin(body, {name.lower(): value for name, value in self.headers.items()})

    def _poll(self, run: AskedRun) -> Body:
        held = self.server.script.held
        if held is not None and not held.is_set():
            run.polls = 0
        return run.shown()

    def _listed(self, run: AskedRun) -> Body:
        return self.server.script.messages(run)

    def _cancel(self, run: str) -> Body:
        self.server.script.cancelled.append(run)
        return {"id": run, "status": "cancelling"}

    def _send(self, status: int, body: Body, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return


def _of(handler: _Handler, run: str) -> AskedRun:
    return next(one for one in handler.server.script.runs if one.id == run)


def _with_parts(message: Body) -> Body:
    text = {"value": message["content"], "annotations": []}
    return {**message, "content": [{"type": "text", "text": text}]}


def _asks_for(name: str) -> Body:
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [call]}}
