"""How a run is worked on: claim → turn → end of the turn. Read this to know what Treadle does.

1. A bell (see `bell`): claim the runs that are next. The claim gives a lease and a fence.
2. The turn: the thread's messages, and the run's own steps so far, become a prompt; the model
   answers.
3. The end of the turn, in one transaction under the fence of the claim: message, step and status.
   If the model searched files, the step has what was found, and the next turn follows at once.
   If it called functions, the run waits for their outputs and no worker holds it; the
   outputs queue it again, for the next turn. If the fence is no longer ours, somebody took over
   and nothing is written.
A model error that may pass gives the run back for a while; any other ends it.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from shared import citations, events
from shared.budget import Budget
from shared.db import Database, Transaction
from shared.errors import CallCut, LeaseLost, ModelError, Unavailable
from shared.settings import Settings
from shared.store import claims, history, model_pauses, run_steps
from shared.store.claims import ClaimedRun
from shared.store.history import Said
from shared.store.model_pauses import LONGEST_SECONDS
from shared.store.run_steps import RunStep
from shared.store.runs import Run
from shared.tokens import estimate
from worker import metrics, outcome, prompt
from worker.connections import Call
from worker.deltas import Deltas
from worker.lease import Lease, pause
from worker.model import Model
from worker.outcome import Decision
from worker.tools import file_search, searching
from worker.tools.searching import FileSearch, Turn

log = logging.getLogger(__name__)

T = TypeVar("T")

# For the files of a thread that are still being read a run waits so long, looking so often.
_FILES_SECONDS = 60.0
_FILES_LOOK_SECONDS = 0.2


class Execution:
    def __init__(self, settings: Settings, database: Database, lease: Lease, model: Model) -> None:
        self._settings = settings
        self._database = database
        self._lease = lease
        self._model = model
        self._budget = Budget(settings)
        self._file_search = FileSearch(model.embeddings)

    def execute(self, run: ClaimedRun) -> None:
        """A run that was just claimed: its next turn, and those that follow at once."""
        metrics.CLAIMS.inc()
        with self._lease.holding(run) as call:
            if self._lease.is_one_too_many(run):
                with self._database.autocommit() as tx:
                    claims.release(tx, self._lease.worker_id, [run.id])
            else:
                self._execute(run, call)

    def _execute(self, run: ClaimedRun, call: Call) -> None:
        began = time.monotonic()
        deadline = began + run.seconds_left
        try:
            ended = self._work(run, call, deadline)
            while outcome.has_more_to_do(ended):
                claimed_at = run.claimed_at + time.monotonic() - began
                again = replace(run, claimed_at=claimed_at, short_history=None)
                ended = self._work(again, call, deadline)
        except LeaseLost:
            log.warning("lease lost", extra={"run_id": run.id, "fence": run.fence})
            return
        except Unavailable:
            # Still ours by the row; the sweep expires it when its time is over.
            log.error("run given up: no database", extra={"run_id": run.id})
            return
        ms = int((time.monotonic() - began) * 1000)
        log.debug("turn", extra={"run_id": run.id, "status": ended.status.value, "ms": ms})

    def _work(self, run: ClaimedRun, call: Call, deadline: float) -> Run:
        try:
            decision = self._decide(run, call, deadline)
        except (LeaseLost, Unavailable):
            raise
        except Exception:
            log.exception("run failed in the worker", extra={"run_id": run.id})
            decision = _unexpected(run)
        try:
            return self._persist(decision, deadline)
        except LeaseLost:
            # Cancelled meanwhile, or really lost: the same guard tells.
            return self._persist(lambda tx: claims.end_cancelled(tx, run), deadline)
        except Unavailable:
            raise
        except Exception:
            log.exception("run failed in the worker", extra={"run_id": run.id})
            return self._persist(_unexpected(run), deadline)

    def _decide(self, run: ClaimedRun, call: Call, deadline: float) -> Decision:
        """The turn: what is to be written at its end."""
        said, steps = self._history(run, deadline)
        if outcome.tokens_left(run, steps) == 0:
            return outcome.out_of_tokens(run, steps)
        deltas = _deltas(run, steps)
        room = prompt.room(run, self._settings.context_tokens)
        turn = Turn(run, said, steps, room, lambda act: self._persist(act, deadline))
        try:
            return self._before_asking(turn, deltas) or self._ask(turn, call, deltas, deadline)
        except CallCut:
            return outcome.cancellation(run, deltas)
        except ModelError as error:
            return self._after_error(run, error, deltas, deadline)

    def _history(self, run: ClaimedRun, deadline: float) -> tuple[list[Said], list[RunStep]]:
        last = prompt.last_messages(run)
        said = run.history()
        # At its first claim a run has none, unless it has searched under that claim.
        may_have_steps = run.fence > 1 or file_search.is_in(run.tools)
        if said is not None and not may_have_steps:
            return said[-last:] if last else said, []

        def read(tx: Transaction) -> tuple[list[Said], list[RunStep]]:
            said = history.read(tx, run.thread_id, last=last, until=run)
            return said, run_steps.of_run(tx, run.id) if may_have_steps else []

        return self._persist(read, deadline)

    def _before_asking(self, turn: Turn, deltas: Deltas) -> Decision | None:
        """What a run that may search files needs before its first turn."""
        run = turn.run
        if turn.steps or not file_search.is_in(run.tools):
            return None
        stores = turn.read(lambda tx: searching.stores_of(tx, run))
        if stores.expired:
            message = f"Vector store '{stores.expired}' has expired."
            return outcome.failure(run, "invalid_prompt", message)
        waited = run.claimed_at - run.started_at.timestamp() if run.started_at else 0.0
        if stores.filling and waited < _FILES_SECONDS:
            return lambda tx: claims.retry_later(tx, run, _FILES_LOOK_SECONDS, failures=0)
        if self._settings.search_first and run.tool_choice != "none":
            return outcome.searched_first(run, self._file_search.unasked(turn), deltas)
        return None

    def _ask(self, turn: Turn, call: Call, deltas: Deltas, deadline: float) -> Decision:
        run, steps = turn.run, turn.steps
        count = self._model.tokens.of(run.model)
        chat = prompt.build(run, turn.said, self._settings.context_tokens, steps, count)
        tools = file_search.for_model(run, steps, comes_first=self._settings.search_first)
        request = outcome.completion(run, chat, steps, tools)
        model = self._settings.served_model(run.model)
        estimated = partial(prompt.cost, request["messages"], "", 0, estimate)
        if wait := self._budget.take(model, estimated):
            return _later(run, wait)
        answer = self._model.ask(request, deadline - time.monotonic(), call, deltas)
        self._budget.charge(model, estimated, answer.usage["total_tokens"])
        found = self._file_search.of_answer(turn, answer)
        decision = outcome.after(run, answer, steps, deltas, found)
        return _then_pause(run.model, decision, answer.rest_seconds)

    def _after_error(
        self, run: Run, error: ModelError, deltas: Deltas, deadline: float
    ) -> Decision:
        """Again later, if that may help and there is time; else the end."""
        wait = error.retry_after
        if wait is None:
            wait = min(0.5 * 2**run.model_failures, LONGEST_SECONDS) * random.uniform(0.8, 1.2)
        limited = error.code == "rate_limit_exceeded"
        tried_enough = run.model_failures >= self._settings.model_retries and not limited
        in_time = time.monotonic() + wait < deadline
        again = error.transient and in_time and not tried_enough
        told = {"reason": error.reason, "again_in": round(wait, 1) if again else None}
        log.info("model error", extra={"run_id": run.id, **told})
        if not again:
            return outcome.failure(run, error.code, error.message, deltas)
        later: Decision = lambda tx: claims.retry_later(tx, run, wait)  # noqa: E731
        return _then_pause(error.model or run.model, later, error.retry_after)

    def _persist(self, act: Callable[[Transaction], T], deadline: float) -> T:
        """An answer is worth waiting for PostgreSQL: tries until the run's time is over."""
        attempt = 0
        while True:
            try:
                with self._database.autocommit() as tx:
                    return act(tx)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                pause(attempt)
                attempt += 1


def _then_pause(model: str, decision: Decision, seconds: float | None) -> Decision:
    """The model's server wants to be left alone for so long."""
    if not seconds:
        return decision

    def decide(tx: Transaction) -> Run:
        with tx.atomic():
            ended = decision(tx)
            model_pauses.pause(tx, model, seconds)
        return ended

    return decide


def _later(run: Run, seconds: float) -> Decision:
    """What a model may be asked in a minute is used up."""
    log.debug("model left alone", extra={"run_id": run.id, "again_in": round(seconds, 1)})
    later: Decision = lambda tx: claims.retry_later(tx, run, seconds, failures=0)  # noqa: E731
    return _then_pause(run.model, later, seconds)


def _unexpected(run: Run) -> Decision:
    return outcome.failure(run, "server_error", "Sorry, something went wrong.")


def _deltas(run: ClaimedRun, steps: list[RunStep]) -> Deltas:
    return Deltas(
        run,
        len(steps),
        heard=run.streamed and events.has_streams(run.id),
        sources=citations.sources(step.step_details for step in steps),
        hidden=file_search.name_in(run.tools) if file_search.is_in(run.tools) else None,
    )
