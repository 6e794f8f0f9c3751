"""A client that costs next to nothing, so that what is measured is the server."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import orjson


class RefusedError(Exception):
    """With a status that is no success."""


class Connection:
    """One request after the other over one kept connection."""

    def __init__(self, port: int, secret: str = "") -> None:
        self._port = port
        auth = f"Authorization: Bearer {secret}\r\n" if secret else ""
        self._fields = f"Host: 127.0.0.1:{port}\r\n{auth}OpenAI-Beta: assistants=v2\r\n"
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, limit=1 << 24
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        assert self._writer is not None
        self._writer.close()

    async def call(self, method: str, path: str, body: Any = None, fields: str = "") -> Any:
        head = await self._send(method, path, body, fields)
        assert self._reader is not None
        length = int(head.split("content-length: ", 1)[1].split("\r\n", 1)[0])
        data = await self._reader.readexactly(length)
        if " 200 " not in head[:14]:
            raise RefusedError(f"{method} {path}: {head[:14]} {data[:300]!r}")
        return orjson.loads(data)

    async def events(self, path: str, body: Any) -> AsyncIterator[tuple[str, Any]]:
        """The stream that answers a POST: names and data, `[DONE]` not among them."""
        head = await self._send("POST", path, body, "")
        assert self._reader is not None
        if " 200 " not in head[:14]:
            raise RefusedError(f"POST {path}: {head[:14]}")
        lines: deque[bytes] = deque()
        rest = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            rest += (await self._reader.readexactly(size + 2))[:-2]
            *whole, rest = rest.split(b"\n\n")
            lines.extend(whole)
            while lines:
                name, _, data = lines.popleft().decode().partition("\n")
                if data != "data: [DONE]" and name.startswith("event: "):
                    yield name.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))
        await self._reader.readuntil(b"\r\n")

    async def _send(self, method: str, path: str, body: Any, fields: str) -> str:
        assert self._writer is not None
        assert self._reader is not None
        data = b"" if body is None else orjson.dumps(body)
        kind = "" if body is None else "Content-Type: application/json\r\n"
        self._writer.write(
            f"{method} {path} HTTP/1.1\r\n{self._fields}{fields}{kind}"
            f"Content-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        return (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
