"""How a run is worked on: claim → turn → end of the turn. Read this to know what Treadle does.

1. A bell (see `bell`): claim the runs that are next. The claim gives a lease and a fence.
2. The turn: the thread's messages, and the run's own steps so far, become a prompt; the model
   answers.
3. The end of the turn, in one transaction under the fence of the claim: message, step and status.
   If the model called functions, the run waits for their outputs and no worker holds it; the
   outputs queue it again, for the next turn. If the fence is no longer ours, somebody took over
   and nothing is written.
A model error that may pass gives the run back for a while; any other ends it.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from shared import events
from shared.db import Database, Transaction
from shared.errors import CallCut, LeaseLost, ModelError, Unavailable
from shared.settings import Settings
from shared.store import claims, messages, model_pauses, run_steps
from shared.store.messages import Said
from shared.store.run_steps import RunStep
from shared.store.runs import BATCH, ClaimedRun, Run
from worker import metrics, outcome, prompt
from worker.budget import Budget
from worker.connections import Call
from worker.deltas import Deltas
from worker.lease import Lease, pause
from worker.model import Model
from worker.outcome import Decision

log = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_PAUSE = 30.0


class Execution:
    def __init__(self, settings: Settings, database: Database, lease: Lease, model: Model) -> None:
        self._settings = settings
        self._database = database
        self._lease = lease
        self._model = model
        self._budget = Budget(settings)
        # Else a hundred runs of a batch would stand in line for the connections, and each step of
        # a conversation behind them.
        self._batches = threading.BoundedSemaphore(max(1, settings.database_pool * 3 // 4))

    def execute(self, run: ClaimedRun) -> None:
        """A run that was just claimed: its next turn."""
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
            return self._persist(run, decision, deadline)
        except LeaseLost:
            # Cancelled meanwhile, or really lost: the same guard tells.
            return self._persist(run, lambda tx: claims.end_cancelled(tx, run), deadline)
        except Unavailable:
            raise
        except Exception:
            log.exception("run failed in the worker", extra={"run_id": run.id})
            return self._persist(run, _unexpected(run), deadline)

    def _decide(self, run: ClaimedRun, call: Call, deadline: float) -> Decision:
        """The turn: what is to be written at its end."""
        said, steps = self._persist(run, lambda tx: _history(tx, run), deadline)
        if outcome.tokens_left(run, steps) == 0:
            return outcome.out_of_tokens(run, steps)
        heard = run.streamed and events.has_streams(run.id)
        deltas = Deltas(run, len(steps), heard=heard)
        try:
            count = self._model.tokens.of(run.model)
            chat = prompt.build(run, said, self._settings.context_tokens, steps, count)
            request = outcome.completion(run, chat, steps)
            if wait := self._budget.take(request):
                return _later(run, wait)
            answer = self._model.ask(request, deadline - time.monotonic(), call, deltas)
        except CallCut:
            return outcome.cancellation(run, deltas)
        except ModelError as error:
            return self._after_error(run, error, deltas, deadline)
        self._budget.charge(request, answer.usage["total_tokens"])
        return _then_pause(run, outcome.after(run, answer, steps, deltas), answer.rest_seconds)

    def _after_error(
        self, run: Run, error: ModelError, deltas: Deltas, deadline: float
    ) -> Decision:
        """Again later, if that may help and there is time; else the end."""
        wait = error.retry_after
        if wait is None:
            wait = min(0.5 * 2**run.model_failures, _LONGEST_PAUSE) * random.uniform(0.8, 1.2)
        limited = error.code == "rate_limit_exceeded"
        tried_enough = run.model_failures >= self._settings.model_retries and not limited
        in_time = time.monotonic() + wait < deadline
        again = error.transient and in_time and not tried_enough
        told = {"reason": error.reason, "again_in": round(wait, 1) if again else None}
        log.info("model error", extra={"run_id": run.id, **told})
        if not again:
            return outcome.failure(run, error.code, error.message, deltas)
        later: Decision = lambda tx: claims.retry_later(tx, run, wait)  # noqa: E731
        return _then_pause(run, later, error.retry_after)

    def _persist(self, run: Run, act: Callable[[Transaction], T], deadline: float) -> T:
        """An answer is worth waiting for PostgreSQL: tries until the run's time is over."""
        attempt = 0
        place = self._batches if run.lane == BATCH else nullcontext()
        while True:
            try:
                with place, self._database.autocommit() as tx:
                    return act(tx)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                pause(attempt)
                attempt += 1


def _then_pause(run: Run, decision: Decision, seconds: float | None) -> Decision:
    """The model's server wants to be left alone for so long: no run of the model is claimed. One
    that asks for more than a while is asked again after that while, in case it was mistaken."""
    if not seconds:
        return decision

    def decide(tx: Transaction) -> Run:
        with tx.atomic():
            ended = decision(tx)
            model_pauses.pause(tx, run.model, min(seconds, _LONGEST_PAUSE))
        return ended

    return decide


def _later(run: Run, seconds: float) -> Decision:
    """What a model may be asked in a minute is used up."""
    log.debug("model left alone", extra={"run_id": run.id, "again_in": round(seconds, 1)})
    return _then_pause(run, lambda tx: claims.retry_later(tx, run, seconds, failures=0), seconds)


def _unexpected(run: Run) -> Decision:
    return outcome.failure(run, "server_error", "Sorry, something went wrong.")


def _history(tx: Transaction, run: Run) -> tuple[list[Said], list[RunStep]]:
    said = messages.history(tx, run.thread_id, last=prompt.last_messages(run), until=run)
    # A run that is claimed for the first time has none.
    return said, run_steps.of_run(tx, run.id) if run.fence > 1 else []
