"""One question: a run of its own, waited for, and its answer."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cli.ask.answers import COMPLETED, Answer, Failure, refused
from cli.ask.errors import AskError
from cli.ask.journal import Begun, Journal
from cli.ask.questions import Question
from cli.ask.server import HOLD_SECONDS, Object, RefusedError, Server

_GOING_ON = {"queued", "in_progress", "cancelling"}
_WORTH_ANOTHER_RUN = {"server_error", "rate_limit_exceeded"}
# Treadle holds such a request until the run stops; others know neither header.
_HOLD = {"X_Stainless_Poll_Helper": "true", "Prefer": f"wait={HOLD_SECONDS}"}
# Those who talk to somebody go first, where the server knows such a thing.
_LANE = {"Treadle_Lane": "batch"}
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
# Between polls that were not held, whatever the server says.
_LEAST_PAUSE = 0.1
_AGAIN_SECONDS = 1.0
_LOST = "run_lost"


@dataclass
class Counts:
    asked: int = 0
    retried: int = 0
    in_flight: int = 0


class Asker:
    """`defaults` is what a question is asked with that names no assistant."""

    def __init__(self, server: Server, journal: Journal, job_id: str, retries: int) -> None:
        self.counts = Counts()
        self.defaults: Object = {}
        self._server = server
        self._journal = journal
        self._job_id = job_id
        self._retries = retries

    async def ask(self, question: Question) -> Answer:
        """Raises AskError where no other question could fare better."""
        self.counts.in_flight += 1
        try:
            return await self._ask(question)
        except RefusedError as error:
            return refused(question, error.failure)
        finally:
            self.counts.in_flight -= 1

    async def _ask(self, question: Question) -> Answer:
        begun = self._journal.begun.pop(question.line, None)
        attempt = begun.attempt if begun else 0
        while True:
            begun = begun or await self._begin(question, attempt)
            run = await self._ended(begun)
            if not _is_worth_another(run) or attempt >= self._retries:
                return await self._answer(question, begun, run)
            attempt += 1
            begun = None
            self.counts.retried += 1
            await asyncio.sleep(_AGAIN_SECONDS * attempt)

    async def _begin(self, question: Question, attempt: int) -> Begun:
        body = question.body
        if "assistant_id" not in body:
            body = {**self.defaults, **body}
        key = f"{self._job_id}-{question.line}-{attempt}"
        try:
            run = await self._server.post("/threads/runs", body, Idempotency_Key=key, **_LANE)
        except RefusedError as error:
            if error.status == 404 and "assistant_id" not in question.body:
                await require_assistant(self._server, body["assistant_id"])
            raise
        begun = _begun(attempt, run)
        self._journal.tell(question.line, begun)
        self.counts.asked += 1
        return begun

    async def _ended(self, begun: Begun) -> Object:
        """The run when it has ended, or as one that failed where the server no longer knows it."""
        try:
            run = await self._stopped(begun)
            if run.get("status") != "requires_action":
                return run
            return await self._cancelled(begun, run)
        except RefusedError as error:
            if error.status != 404:
                raise
            lost = {"code": _LOST, "message": "The server no longer knows the run."}
            return {"status": "failed", "last_error": lost}

    async def _stopped(self, begun: Begun) -> Object:
        pause = _FIRST_PAUSE
        while True:
            sent = time.monotonic()
            run, headers = await self._server.get(_path(begun), **_HOLD)
            if run.get("status") not in _GOING_ON:
                return run
            asked = headers.get("openai-poll-after-ms", "")
            wait = int(asked) / 1000 if asked.isdecimal() else pause
            held = time.monotonic() - sent > 1
            await asyncio.sleep(wait if held else max(wait, _LEAST_PAUSE))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def _cancelled(self, begun: Begun, run: Object) -> Object:
        """Nobody is here to call functions."""
        try:
            await self._server.post(f"{_path(begun)}/cancel", {})
        except RefusedError as error:
            if error.status not in (400, 404):
                raise
        names = ", ".join(_functions(run)) or "a tool"
        message = f"The run asked for the outputs of {names}; it was cancelled."
        return {**run, "status": "cancelled", "last_error": _error("requires_action", message)}

    async def _answer(self, question: Question, begun: Begun, run: Object) -> Answer:
        status = str(run.get("status"))
        text = await self._text(begun) if status in (COMPLETED, "incomplete") else None
        return Answer(
            custom_id=question.custom_id,
            line=question.line,
            status=status,
            answer=text,
            thread_id=begun.thread_id,
            run_id=begun.run_id,
            usage=run.get("usage"),
            error=None if status == COMPLETED else _failure(status, run),
            metadata=question.metadata,
        )

    async def _text(self, begun: Begun) -> str:
        """All that the run said, in its order."""
        thread, run = quote(begun.thread_id, safe=""), quote(begun.run_id, safe="")
        path = f"/threads/{thread}/messages?run_id={run}&order=asc&limit=100"
        listed, _ = await self._server.get(path)
        try:
            return "\n".join(_texts(listed, begun.run_id))
        except (AttributeError, KeyError, TypeError):
            raise _strange("a list of messages") from None


async def require_assistant(server: Server, assistant_id: str) -> None:
    """Raises AskError where there is none: the job has only this one."""
    try:
        await server.get(f"/assistants/{quote(assistant_id, safe='')}")
    except RefusedError as error:
        message = error.failure.message
        raise AskError(f"{server.base_url} has no assistant {assistant_id}: {message}") from None


def _begun(attempt: int, run: Object) -> Begun:
    try:
        return Begun(attempt, str(run["thread_id"]), str(run["id"]))
    except KeyError:
        raise _strange("a run") from None


def _texts(listed: Object, run_id: str) -> Iterator[str]:
    """Messages that the question brought along are nobody's run's."""
    for message in listed["data"]:
        if message["role"] == "assistant" and message.get("run_id", run_id) == run_id:
            for part in message["content"]:
                if part["type"] == "text":
                    yield part["text"]["value"]


def _strange(expected: str) -> RefusedError:
    return RefusedError(
        200, Failure("unexpected_answer", f"The server's answer is not {expected}.")
    )


def _path(begun: Begun) -> str:
    return f"/threads/{quote(begun.thread_id, safe='')}/runs/{quote(begun.run_id, safe='')}"


def _is_worth_another(run: Object) -> bool:
    code = (run.get("last_error") or {}).get("code")
    failed = run.get("status") == "failed" and code in (_LOST, *_WORTH_ANOTHER_RUN)
    return failed or run.get("status") == "expired"


def _failure(status: str, run: Object) -> Failure:
    error = run.get("last_error") or {}
    reason = (run.get("incomplete_details") or {}).get("reason")
    code = error.get("code") or reason or status
    return Failure(str(code), str(error.get("message") or f"The run is {status}."))


def _error(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}


def _functions(run: dict[str, Any]) -> list[str]:
    action = (run.get("required_action") or {}).get("submit_tool_outputs") or {}
    return [str(call.get("function", {}).get("name")) for call in action.get("tool_calls") or ()]
