"""A job from where it stands to its end: as many questions at once as may be."""

import asyncio
import itertools
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

from cli.ask.answers import COMPLETED, Answer, not_asked
from cli.ask.asking import Asker, require_assistant
from cli.ask.errors import AskError, InterruptError
from cli.ask.job import Taken
from cli.ask.progress import State, show
from cli.ask.questions import Bad, Question
from cli.ask.server import Object, RefusedError, Server

_SYNC_SECONDS = 0.5
# Answers that wait for an older one, in the input's order, for each question in flight.
_AHEAD = 8


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How it is asked; `given` is what --assistant, --model and --instructions say."""

    base_url: str
    key: str
    in_flight: int
    retries: int
    keep_order: bool
    given: dict[str, str]


class Work:
    def __init__(self, manner: Manner, taken: Taken) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._manner = manner
        self._job, self._journal, self._output = taken.job, taken.journal, taken.output
        self._questions = taken.questions
        self._server = Server(manner.base_url, manner.key, manner.in_flight)
        self.asker = Asker(self._server, self._journal, self._job.id, manner.retries)
        self._places = Places(manner.in_flight * _AHEAD if manner.keep_order else None)

    def run(self, show_to: IO[str]) -> None:
        """Raises AskError and InterruptError; what was answered by then is in the output."""
        began = time.monotonic()
        try:
            asyncio.run(self._run(show_to))
        finally:
            self.seconds = time.monotonic() - began
            self._sync()

    @property
    def statuses(self) -> dict[str, int]:
        """Of all answers, those of earlier times included."""
        return self._output.statuses

    def state(self) -> State:
        done = sum(self.statuses.values())
        return State(
            total=self._job.count,
            done=done,
            failed=done - self.statuses.get(COMPLETED, 0),
            tokens=self.tokens,
            in_flight=self.asker.counts.in_flight,
            trouble=self._server.trouble,
            waited=self._server.waited(),
        )

    async def _run(self, show_to: IO[str]) -> None:
        interrupts = _interruptible()
        try:
            try:
                await self._work(show_to)
            finally:
                await self._server.close()
        except asyncio.CancelledError:
            raise InterruptError(interrupts[0]) from None
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _work(self, show_to: IO[str]) -> None:
        async with asyncio.TaskGroup() as around:
            beside = [
                around.create_task(show(self.state, show_to)),
                around.create_task(self._sync_often()),
            ]
            self.asker.defaults = await self._defaults()
            numbered = enumerate(self._questions)
            async with asyncio.TaskGroup() as group:
                for _ in range(self._manner.in_flight):
                    group.create_task(self._ask_in_turn(numbered))
            for task in beside:
                task.cancel()

    async def _ask_in_turn(self, numbered: Iterable[tuple[int, Question | Bad]]) -> None:
        """All of these take their questions from one row."""
        for place, one in numbered:
            await self._places.wait_for(place)
            answer = not_asked(one) if isinstance(one, Bad) else await self.asker.ask(one)
            for told in self._places.in_turn(place, answer):
                self._output.append(told)
            self.tokens += answer.tokens

    async def _sync_often(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            await asyncio.to_thread(self._sync)

    def _sync(self) -> None:
        """The journal first: an answer whose run it does not tell could not be found again."""
        self._journal.sync()
        self._output.sync()

    async def _defaults(self) -> Object:
        """What a question is asked with that names no assistant. The first word to the server: a
        wrong address or key is found out before anything is asked."""
        given = self._manner.given
        if "assistant" in given:
            await require_assistant(self._server, given["assistant"])
            rest = {name: given[name] for name in ("model", "instructions") if name in given}
            return {"assistant_id": given["assistant"], **rest}
        try:
            if self._job.assistant is None:
                await self._server.get("/assistants?limit=1")
                return {}
            if self._journal.assistant_id is None:
                made = await self._server.post("/assistants", self._job.assistant)
                self._journal.tell_assistant(str(made["id"]))
        except (RefusedError, KeyError) as error:
            url = self._server.base_url
            raise AskError(f"{url} does not serve the Assistants API: {error}") from None
        return {"assistant_id": self._journal.assistant_id}


class Places:
    """Who writes when. `most`: how far ahead of the oldest answer that is missing may be asked;
    None where the order does not matter."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._next = 0
        self._held: dict[int, Answer] = {}
        self._moved = asyncio.Event()

    async def wait_for(self, place: int) -> None:
        """Lets others have their turn in any case."""
        await asyncio.sleep(0)
        while self._most is not None and place >= self._next + self._most:
            self._moved.clear()
            await self._moved.wait()

    def in_turn(self, place: int, answer: Answer) -> Iterable[Answer]:
        """Those that are to be written now."""
        if self._most is None:
            return (answer,)
        self._held[place] = answer
        found = list(itertools.takewhile(self._held.__contains__, itertools.count(self._next)))
        self._next += len(found)
        self._moved.set()
        return [self._held.pop(one) for one in found]


def _interruptible() -> list[signal.Signals]:
    """From now Ctrl-C cancels this task, and is told there."""
    task, told = asyncio.current_task(), list[signal.Signals]()
    assert task is not None

    def end(number: signal.Signals) -> None:
        if not told:
            task.cancel()
        told.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    return told


def _first(group: BaseExceptionGroup) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
