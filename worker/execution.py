"""How a run is worked on: claim → turn → finish. Read this to know what Treadle does.

1. A bell: claim the next run, until none waits. The claim gives a lease and a fence.
2. The turn: the thread's messages become a prompt, the model answers.
3. The end: message, step and status in one transaction, under the fence of the claim. If the fence
   is no longer ours, somebody took over and nothing is written.
A model error that may pass gives the run back for a while; any other ends it.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from shared.db import Database, Transaction
from shared.errors import LeaseLost, ModelError, Unavailable
from shared.run_state import RunStatus
from shared.settings import Settings
from shared.store import messages, run_steps, transitions
from shared.store.messages import NewAnswer
from shared.store.runs import ClaimedRun, Run
from worker import prompt
from worker.lease import Lease, pause
from worker.model import Answer, Model, no_usage

log = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_PAUSE = 30.0


class Execution:
    def __init__(self, settings: Settings, database: Database, lease: Lease, model: Model) -> None:
        self._settings = settings
        self._database = database
        self._lease = lease
        self._model = model

    def answer_bell(self) -> None:
        """Works until no run waits: a bell that was lost costs nothing while workers are busy."""
        while not self._lease.draining:
            with self._database.autocommit() as tx:
                run = transitions.claim(tx, self._lease.worker_id)
            if run is None:
                return
            with self._lease.holding(run):
                self._execute(run)

    def _execute(self, run: ClaimedRun) -> None:
        began = time.monotonic()
        deadline = began + run.seconds_left
        try:
            ended = self._work(run, deadline)
        except LeaseLost:
            log.warning("lease lost", extra={"run_id": run.id, "fence": run.fence})
            return
        except Unavailable:
            # Still ours by the row; the sweep expires it when its time is over.
            log.error("run given up: no database", extra={"run_id": run.id})
            return
        log.info(
            "run",
            extra={
                "run_id": run.id,
                "status": ended.status.value,
                "ms": int((time.monotonic() - began) * 1000),
                "usage": ended.usage and ended.usage["total_tokens"],
            },
        )

    def _work(self, run: ClaimedRun, deadline: float) -> Run:
        try:
            answer = self._turn(run, deadline)
        except ModelError as error:
            decision = self._after_error(run, error, deadline)
        except (LeaseLost, Unavailable):
            raise
        except Exception:
            log.exception("run failed in the worker", extra={"run_id": run.id})
            decision = _failing(run, "server_error", "Sorry, something went wrong.")
        else:
            decision = _finishing(run, answer)
        return self._persist(decision, deadline)

    def _turn(self, run: ClaimedRun, deadline: float) -> Answer:
        said = self._persist(
            lambda tx: messages.history(tx, run.thread_id, prompt.last_messages(run)), deadline
        )
        chat = prompt.build(run, said, self._settings.context_tokens)
        return self._model.ask(_completion(run, chat), deadline - time.monotonic())

    def _after_error(
        self, run: Run, error: ModelError, deadline: float
    ) -> Callable[[Transaction], Run]:
        """Again later, if that may help and there is time; else the end."""
        wait = error.retry_after
        if wait is None:
            wait = min(0.5 * 2**run.model_failures, _LONGEST_PAUSE) * random.uniform(0.8, 1.2)
        limited = error.code == "rate_limit_exceeded"
        tried_enough = run.model_failures >= self._settings.model_retries and not limited
        in_time = time.monotonic() + wait < deadline
        if not error.transient or tried_enough or not in_time:
            return _failing(run, error.code, error.message)
        log.info(
            "model error", extra={"run_id": run.id, "wait": round(wait, 1), "error": error.message}
        )
        return lambda tx: transitions.retry_later(tx, run, wait)

    def _persist(self, act: Callable[[Transaction], T], deadline: float) -> T:
        """An answer is worth waiting for PostgreSQL: tries until the run's time is over."""
        attempt = 0
        while True:
            try:
                with self._database.transaction() as tx:
                    return act(tx)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                pause(attempt)
                attempt += 1


def _completion(run: Run, chat: list[prompt.ChatMessage]) -> dict[str, Any]:
    """The body of the chat completion: only what the run says."""
    asked = {
        "reasoning_effort": run.reasoning_effort,
        "max_completion_tokens": run.max_completion_tokens,
        "response_format": None if run.response_format == "auto" else run.response_format,
    }
    return {
        "model": run.model,
        "messages": chat,
        "temperature": run.temperature,
        "top_p": run.top_p,
        **{name: value for name, value in asked.items() if value is not None},
    }


def _finishing(run: Run, answer: Answer) -> Callable[[Transaction], Run]:
    reasons = {"length": "max_tokens", "content_filter": "content_filter"}
    content = NewAnswer(
        content=_content(answer), incomplete_reason=reasons.get(answer.finish_reason)
    )

    def finish(tx: Transaction) -> Run:
        to = RunStatus.INCOMPLETE if answer.finish_reason == "length" else RunStatus.COMPLETED
        ended = transitions.finish(tx, run, to, answer.usage)
        message = messages.create_answer(tx, ended, content)
        run_steps.create_message_step(tx, ended, message, answer.usage)
        return ended

    return finish


def _failing(run: Run, code: str, message: str) -> Callable[[Transaction], Run]:
    return lambda tx: transitions.fail(tx, run, code, message, no_usage())


def _content(answer: Answer) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if answer.text is not None:
        parts.append({"type": "text", "text": {"value": answer.text, "annotations": []}})
    if answer.refusal is not None:
        parts.append({"type": "refusal", "refusal": answer.refusal})
    return parts
