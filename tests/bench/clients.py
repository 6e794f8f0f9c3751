"""What the clients do. Each checks that the answer it reads is its own question's."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from tests.bench.http import Connection, RefusedError

HELD = "X-Stainless-Poll-Helper: true\r\n"
# Clients that all begin in one moment go on in waves: they begin one after the other in so long.
_BEGIN_SECONDS = 2.0
_WARM_SECONDS = 3.0
_SECONDS = 6.0


@dataclass
class Told:
    """Seconds, of each question: asked, answered; of each stream: until its first word."""

    took: list[float] = field(default_factory=list)
    first_words: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        if len(self.took) < 2:
            return self.took[0] if self.took else float("nan")
        return quantiles(self.took, n=100)[percent - 1]

    @property
    def median(self) -> float:
        return median(self.took) if self.took else float("nan")


@dataclass(frozen=True)
class Window:
    """What clients did from one moment to another, all of them at work before and after."""

    told: Told
    seconds: float
    before: dict[str, float]
    after: dict[str, float]

    def each(self, name: str) -> float:
        """By how much that figure grew for each question."""
        return (self.after[name] - self.before[name]) / len(self.told.took)


@dataclass(frozen=True)
class Asking:
    port: int
    secret: str
    assistant_id: str
    fields: str = ""  # of the request that makes a run
    at_once: bool = False  # the thread and its run in one request


async def an_assistant(port: int, secret: str, model: str) -> str:
    async with Connection(port, secret) as http:
        made = await http.call("POST", "/v1/assistants", {"model": model})
        return made["id"]


async def converse(asking: Asking, question: str, http: Connection) -> None:
    """The wire's dance: a thread, a message, a run, polls until it ended, the messages."""
    run = await (_both if asking.at_once else _each)(asking, question, http)
    path = f"/v1/threads/{run['thread_id']}"
    while run["status"] in ("queued", "in_progress"):
        run = await http.call("GET", f"{path}/runs/{run['id']}", fields=HELD)
    listed = await http.call("GET", f"{path}/messages?run_id={run['id']}")
    _check(question, run, listed)


async def create(asking: Asking, question: str, http: Connection) -> tuple[str, str]:
    """A thread and its run in one request, and nothing more."""
    run = await _both(asking, question, http)
    return run["thread_id"], run["id"]


async def stream(asking: Asking, question: str, http: Connection, told: Told) -> None:
    """Seconds until the first word, from the request that makes the run."""
    thread = await http.call("POST", "/v1/threads", {"messages": [_user(question)]})
    began = time.perf_counter()
    words = ""
    body = {"assistant_id": asking.assistant_id, "stream": True}
    async for name, data in http.events(f"/v1/threads/{thread['id']}/runs", body):
        if name == "thread.message.delta":
            if not words:
                told.first_words.append(time.perf_counter() - began)
            words += data["delta"]["content"][0]["text"]["value"]
    told.took.append(time.perf_counter() - began)
    if words != f"You said: {question}":
        told.errors.append(f"{question}: {words}")


async def keep_asking(
    asking: Asking, name: str, until: float, told: Told, pause: float = 0.0
) -> None:
    """One client, one question after the other, until that moment of the monotonic clock."""
    async with Connection(asking.port, asking.secret) as http:
        number = 0
        while time.monotonic() < until:
            number += 1
            began = time.perf_counter()
            try:
                await converse(asking, f"{name}.{number}?", http)
            except (OSError, EOFError, ValueError, RefusedError) as error:
                told.errors.append(repr(error))
                return
            told.took.append(time.perf_counter() - began)
            if pause:
                await asyncio.sleep(pause)


async def alone(asking: Asking, seconds: float) -> Told:
    told = Told()
    await keep_asking(asking, "alone", time.monotonic() + seconds, told)
    return told


async def watched(
    keep_on: Callable[[int, float, Told], Awaitable[None]],
    clients: int,
    look: Callable[[], dict[str, float]],
) -> Window:
    """`keep_on` is one client, by its number, until a moment of the monotonic clock."""
    told = Told()
    until = time.monotonic() + _WARM_SECONDS + _SECONDS + 1

    async def begin(number: int) -> None:
        await asyncio.sleep(_BEGIN_SECONDS * number / clients)
        await keep_on(number, until, told)

    all_of_them = asyncio.gather(*(begin(number) for number in range(clients)))
    await asyncio.sleep(_WARM_SECONDS)
    before, began = look(), time.perf_counter()
    took, words = len(told.took), len(told.first_words)
    await asyncio.sleep(_SECONDS)
    seconds = time.perf_counter() - began
    seen = Told(told.took[took:], told.first_words[words:], told.errors)
    after = look()
    await all_of_them
    return Window(seen, seconds, before, after)


async def _each(asking: Asking, question: str, http: Connection) -> dict[str, Any]:
    thread = await http.call("POST", "/v1/threads", {"messages": [_user(question)]})
    body = {"assistant_id": asking.assistant_id}
    return await http.call("POST", f"/v1/threads/{thread['id']}/runs", body, asking.fields)


async def _both(asking: Asking, question: str, http: Connection) -> dict[str, Any]:
    body = {"assistant_id": asking.assistant_id, "thread": {"messages": [_user(question)]}}
    return await http.call("POST", "/v1/threads/runs", body, asking.fields)


def _user(question: str) -> dict[str, Any]:
    return {"role": "user", "content": question}


def _check(question: str, run: dict[str, Any], listed: dict[str, Any]) -> None:
    said = [message["content"][0]["text"]["value"] for message in listed["data"]]
    if run["status"] != "completed" or said != [f"You said: {question}"]:
        raise ValueError(f"{question}: {run['status']} {run['last_error']} {said}")
