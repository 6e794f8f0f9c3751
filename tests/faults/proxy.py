"""A TCP proxy that can be made to misbehave: what the network does, without the network's tools."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Self

Target = str | int  # the path of a Unix socket, or a port of this machine
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Listens on `port` and passes everything to `target`, which may be changed at any time.

    `delay` is added to each piece, in seconds; `frozen` holds everything back while connections
    stay open, new ones included; `deaf` throws away what the target answers.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.delay = 0.0
        self.deaf = False
        self._passing = asyncio.Event()
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop.call_soon_threadsafe(self._passing.set)
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def freeze(self) -> None:
        self._loop.call_soon_threadsafe(self._passing.clear)

    def thaw(self) -> None:
        self._loop.call_soon_threadsafe(self._passing.set)

    def cut(self) -> None:
        """Resets every connection there is; new ones are taken."""
        self._do(self._cut())

    def refuse(self) -> None:
        """No connection any more, neither old nor new."""
        self._do(self._refuse())

    def accept(self) -> None:
        self._do(self._accept())

    def _do(self, act: Awaitable[None]) -> None:
        done: Future[None] = asyncio.run_coroutine_threadsafe(act, self._loop)  # type: ignore[arg-type]
        done.result(10)

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port, backlog=512, reuse_address=True
            )

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()
        for writer in self._connections:
            writer.transport.abort()
        self._connections.clear()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, *near: Any) -> None:
        task = asyncio.ensure_future(self._join(near))  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, near: Streams) -> None:
        self._connections.add(near[1])
        try:
            await self._passing.wait()
            far = await self._connect()
        except OSError:
            near[1].transport.abort()
            return
        self._connections.add(far[1])
        await asyncio.gather(
            self._pump(near[0], far[1], lambda: False), self._pump(far[0], near[1], self._is_deaf)
        )
        self._connections -= {near[1], far[1]}

    async def _connect(self) -> Streams:
        if isinstance(self.target, str):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection("127.0.0.1", self.target)

    def _is_deaf(self) -> bool:
        return self.deaf

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drop: Callable[[], bool]
    ) -> None:
        try:
            while piece := await reader.read(65536):
                await asyncio.sleep(self.delay)
                await self._passing.wait()
                if not drop():
                    writer.write(piece)
                    await writer.drain()
        except OSError:
            writer.transport.abort()
        finally:
            writer.close()
