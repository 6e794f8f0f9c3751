"""`/v1/embeddings` as Treadle asks it, over something that makes a vector of one text.

One text after the other, so that a caller's question waits for one chunk of somebody's file and not
for sixty-four.
"""

import json
import math
import select
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import mul
from typing import Any, TypeAlias, cast

# A vector of length 1, and how many tokens were read for it.
Embedded: TypeAlias = "tuple[list[float], int]"
Embed = Callable[[str], Embedded]


class TooLongError(Exception):
    """The text is longer than the model reads."""


def of_any_length(embed: Embed, text: str, always_fits: int) -> Embedded:
    """What is too long is halved until it is not, and its vector is the mean of its parts', so that
    no part is lost. A text of so many bytes always fits: what is still refused then stays so."""
    try:
        return embed(text)
    except TooLongError:
        if len(text.encode()) <= always_fits:
            raise
    parts = _halves(text)
    vectors, tokens = zip(*(of_any_length(embed, part, always_fits) for part in parts), strict=True)
    lengths = [len(part) for part in parts]
    sums = [sum(map(mul, lengths, places)) for places in zip(*vectors, strict=True)]
    length = math.hypot(*sums) or 1.0
    return [one / length for one in sums], sum(tokens)


def _halves(text: str) -> tuple[str, str]:
    """Between two words if there are two about the middle."""
    middle = len(text) // 2
    space = text.rfind(" ", middle // 2, middle + 1)
    cut = space if space > 0 else middle
    return text[:cut], text[cut:]


class Server(ThreadingHTTPServer):
    """On this machine only."""

    daemon_threads = True

    def __init__(self, port: int, model: str, embed: Embed) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model = model
        self.embed = embed


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200 if self.path == "/health" else 404, {})

    def do_POST(self) -> None:
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            vectors, tokens = self._embedded(body["input"])
        except (KeyError, TypeError, ValueError, TooLongError) as error:
            sentence = f"This cannot be made a vector of: {error!r}."
            self._send(400, {"error": {"message": sentence, "type": "invalid_request_error"}})
            return
        data = [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        model = cast("Server", self.server).model
        self._send(200, {"object": "list", "data": data, "model": model, "usage": usage})

    def _embedded(self, asked: Any) -> tuple[list[list[float]], int]:
        """The vectors, and how many tokens were read for them."""
        embed = cast("Server", self.server).embed
        vectors: list[list[float]] = []
        read = 0
        for text in [asked] if isinstance(asked, str) else asked:
            if self._is_gone():
                break
            vector, tokens = embed(text)
            vectors.append(vector)
            read += tokens
        return vectors, read

    def _is_gone(self) -> bool:
        """Whoever waits no longer has closed the connection; nothing more is made for them."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: every chunk of every file would be a line."""
