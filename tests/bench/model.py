"""A model server that costs next to nothing: `python -m tests.bench.model`.

It answers `You said: …` to the last message, so that every answer can be held against its question.
The model's name says how: `echo`, or `echo-500` which takes 500 ms. A stream comes in ten pieces,
the first after that time. The vectors of `embed-4` take 4 ms a text. It prints its port. `GET /calls` tells how often a model was called.
"""

import asyncio
import math
import socket
import sys

import orjson

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_PIECES = 10
_BETWEEN_PIECES_SECONDS = 0.02
# As JSON: some vectors, each for the texts of one length in so many.
_VECTORS = [
    orjson.dumps([round(math.sin(seed * place), 4) for place in range(1, 385)])
    for seed in range(1, 32)
]
_USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


class Server(asyncio.Protocol):
    calls = 0  # of all connections

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields.get(b"content-length", 0))
        if len(rest) < length:
            return
        self._buffer = b""
        if head.startswith(b"POST") and b"/chat/completions" in head.split(b"\r\n", 1)[0]:
            Server.calls += 1
            self._answer(orjson.loads(rest))
        elif head.startswith(b"POST") and b"/embeddings" in head.split(b"\r\n", 1)[0]:
            self._embed(orjson.loads(rest))
        elif head.startswith(b"GET /calls "):
            self._send(200, {"calls": Server.calls})
        else:
            self._send(404, {"error": {"message": "not here"}})

    def _answer(self, asked: dict) -> None:
        model = asked["model"]
        seconds = int(model.partition("-")[2] or 0) / 1000
        text = f"You said: {_text(asked['messages'][-1]['content'])}"
        loop = asyncio.get_running_loop()
        if asked.get("stream"):
            task = loop.create_task(self._stream(model, text, seconds))
            task.add_done_callback(lambda done: done.exception())
            return
        body = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                }
            ],
            "usage": _USAGE,
        }
        if seconds:
            loop.call_later(seconds, self._send, 200, body)
        else:
            self._send(200, body)

    def _embed(self, asked: dict) -> None:
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": orjson.Fragment(_VECTORS[len(text) % len(_VECTORS)]),
            }
            for index, text in enumerate(asked["input"])
        ]
        body = {"object": "list", "data": data, "model": asked["model"], "usage": _USAGE}
        seconds = int(asked["model"].partition("-")[2] or 0) / 1000 * len(data)
        asyncio.get_running_loop().call_later(seconds, self._send, 200, body)

    async def _stream(self, model: str, text: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._write(_STREAM_HEAD)
        size = -(-len(text) // _PIECES)
        for start in range(0, len(text), size):
            self._chunk(model, {"content": text[start : start + size]}, None)
            await asyncio.sleep(_BETWEEN_PIECES_SECONDS)
        self._chunk(model, {}, "stop")
        self._event(orjson.dumps({"model": model, "choices": [], "usage": _USAGE}))
        self._event(b"[DONE]")
        self._write(b"0\r\n\r\n")

    def _chunk(self, model: str, delta: dict, finish: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model}
        self._event(orjson.dumps({**body, "choices": [choice]}))

    def _event(self, data: bytes) -> None:
        event = b"data: " + data + b"\n\n"
        self._write(b"%x\r\n%s\r\n" % (len(event), event))

    def _send(self, status: int, body: dict) -> None:
        data = orjson.dumps(body)
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\n"
        self._write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(data)


def _text(content: str | list) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


async def serve() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server = await asyncio.get_running_loop().create_server(Server, sock=listener)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
