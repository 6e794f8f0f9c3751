"""How the files of vector stores are worked on: claim → text → chunks → vectors → end.

Beside the runs, in a few threads of its own, so that no file takes a conversation's place: a bell
wakes them, and they look for themselves now and then. Chunks are written as their vectors come,
under the fence of the claim, and are nobody's before the file's end: whoever claims next what was
not ended goes on from there. Who finds no file deletes what gone ones have left, and indexes what
large stores had when they were small.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from shared.blobs import open_blobs
from shared.db import Database, Transaction
from shared.embeddings import MOST_AT_ONCE, Embedded, Embeddings
from shared.errors import LeaseLost, ModelError, Unavailable, Unreadable
from shared.settings import Settings
from shared.store import chunks, ingestions, model_pauses, nearest
from shared.store.chunks import Piece
from shared.store.ingestions import Ingestion
from shared.store.model_pauses import LONGEST_SECONDS
from worker import chunking, metrics
from worker.extraction.outcome import INVALID
from worker.extraction.process import Extraction
from worker.lease import Lease, pause

log = logging.getLogger(__name__)

_THREADS = 2
_LOOK_SECONDS = 2.0
_CLEAR_SECONDS = 10.0
_CLEARED_AT_ONCE = 2000
_EXPIRED_AT_ONCE = 10
# A statement of a second or less.
_TURNED_OVER_AT_ONCE = 100
# Sixty-four long chunks keep one core busy for twenty seconds with the smallest model there is, and
# a machine without a GPU has other work beside.
_EMBEDDING_SECONDS = 180.0
# Tries to write what was made, before it is made anew.
_TRIES = 5


class Ingestions:
    """One per process."""

    def __init__(
        self, settings: Settings, database: Database, lease: Lease, embeddings: Embeddings
    ) -> None:
        self._settings = settings
        self._database = database
        self._lease = lease
        self._blobs = open_blobs(settings)
        self._embeddings = embeddings
        self._claiming = threading.Lock()
        self.held: dict[int, Extraction] = {}
        self._since = ""
        self._clear_at = 0.0
        self._called = threading.Condition()
        self._calls = 0
        self._stopping = False

    def start(self) -> None:
        for number in range(_THREADS):
            looks = _LOOK_SECONDS if number == 0 else None
            threading.Thread(
                target=self._run, args=(looks,), name=f"ingest-{number}", daemon=True
            ).start()

    def wake(self) -> None:
        """Files may wait."""
        with self._called:
            self._calls += 1
            self._called.notify_all()

    def stop(self) -> None:
        """What is held is given back with the worker's lease, and what goes on is lost."""
        with self._called:
            self._stopping = True
            self._called.notify_all()
        for extraction in list(self.held.values()):
            extraction.cut()

    def _run(self, look_seconds: float | None) -> None:
        """One thread looks for itself now and then; it calls the others where there is work."""
        while not self._stopping:
            seen = self._calls
            try:
                busy = self.work_one() or self._clear_in_time()
            except Unavailable:
                busy = False
            except Exception:
                # The next may do better; a thread that ended would do nothing for ever.
                log.exception("ingestion failed")
                busy = False
            if not busy:
                self._wait(seen, look_seconds)

    def _wait(self, seen: int, look_seconds: float | None) -> None:
        """For a call after those that were seen, or a while."""
        seconds = look_seconds and look_seconds * random.uniform(0.5, 1.0)
        with self._called:
            self._called.wait_for(lambda: self._stopping or self._calls != seen, seconds)

    def work_one(self) -> bool:
        """Whether there was one that waited."""
        extraction = Extraction()
        held = self._claim(extraction)
        if held is None:
            return False
        self.wake()
        try:
            self._ingest(held, extraction)
        finally:
            del self.held[held.sequence]
        return True

    def _claim(self, extraction: Extraction) -> Ingestion | None:
        """One whose claim was committed, though its answer got lost, is given back by the next."""
        with self._claiming:
            if self._lease.draining or self._stopping:
                return None
            with self._database.autocommit() as tx:
                ingestions.release(tx, self._lease.worker_id, list(self.held))
                claimed = ingestions.claim(
                    tx, self._lease.worker_id, self._since, self._embeddings.model
                )
            self._since = ""
            if claimed is not None:
                self._since = claimed.project_id
                self.held[claimed.sequence] = extraction
        return claimed

    def _ingest(self, held: Ingestion, extraction: Extraction) -> None:
        began = time.monotonic()
        try:
            ended = self._work(held, extraction)
        except LeaseLost:
            metrics.FILES_READ.labels("lost").inc()
            log.info("ingestion lost", extra=_told(held))
            return
        ms = int((time.monotonic() - began) * 1000)
        metrics.FILES_READ.labels(ended).inc()
        log.info("ingestion", extra={**_told(held), "end": ended, "ms": ms})

    def _work(self, held: Ingestion, extraction: Extraction) -> str:
        try:
            text = self._text(held, extraction)
            if not text.strip():
                raise Unreadable(INVALID, "The file has no text.")
            pieces = [
                piece
                for piece in chunking.cut(
                    text, held.max_chunk_size_tokens, held.chunk_overlap_tokens
                )
                if piece.text.strip()
            ]
            first, last = self._all_but_the_last(held, pieces)
        except Unreadable as error:
            if extraction.was_cut:
                raise LeaseLost from error
            code, message = error.code, error.message
            return self._end(lambda tx: ingestions.fail(tx, held, code, message), error.code)
        except ModelError as error:
            return self._after_error(held, error)
        model = self._embeddings.model
        size = len(text.encode())

        def complete(tx: Transaction) -> None:
            ingestions.complete(tx, held, pieces[first:], last.vectors, model or None, size, first)
            _leave_alone(tx, model, last.rest_seconds)

        return self._end(complete, "completed")

    def _text(self, held: Ingestion, extraction: Extraction) -> str:
        try:
            with self._blobs.file(held.file_id) as file:
                return extraction.text(file, held.filename)
        except (OSError, Unavailable) as error:
            raise ModelError(
                f"The worker cannot reach the file: {error}", code="server_error", transient=True
            ) from error

    def _all_but_the_last(self, held: Ingestion, pieces: Sequence[Piece]) -> tuple[int, Embedded]:
        """Writes the chunks as their vectors come, all but the last of them, which are for the end:
        from which number on, and their vectors. Without a model for them all are, and none has."""
        model, first = self._embeddings.model, 0
        if held.fence > 1:
            with self._database.transaction() as tx:
                first = ingestions.kept(tx, held, pieces, model)
        if not model:
            return 0, Embedded([], 0.0)
        # While the model works on some, those before them are written.
        with ThreadPoolExecutor(1, "chunks") as writer:
            written: Future[None] | None = None
            while True:
                texts = [piece.text for piece in pieces[first : first + MOST_AT_ONCE]]
                some = pieces[first : first + self._embeddings.at_once(texts)]
                self._require_held(held)
                made = self._embeddings.of(texts[: len(some)], _EMBEDDING_SECONDS, of_file=True)
                if written:
                    written.result()
                if first + len(some) == len(pieces):
                    return first, made
                add = partial(ingestions.add, held=held, first=first, pieces=some)
                add = partial(add, vectors=made.vectors, model=model)
                written = writer.submit(self._write, add)
                if made.rest_seconds:
                    raise self._embeddings.used_up(made.rest_seconds)
                first += len(some)

    def _require_held(self, held: Ingestion) -> None:
        """Nothing more is asked of the model for a file that was cancelled or is gone."""
        if self._stopping:
            raise LeaseLost
        with self._database.autocommit() as tx:
            ingestions.require_held(tx, held)

    def _after_error(self, held: Ingestion, error: ModelError) -> str:
        """Again later, if that may help; else the end."""
        wait = error.retry_after
        if wait is None:
            wait = min(0.5 * 2**held.failures, LONGEST_SECONDS) * random.uniform(0.8, 1.2)
        wait = min(wait, LONGEST_SECONDS)
        limited = error.code == "rate_limit_exceeded"
        tried_enough = held.failures >= self._settings.model_retries and not limited
        if error.transient and not tried_enough:
            log.info("ingestion waits", extra={**_told(held), "reason": error.reason})

            def later(tx: Transaction) -> None:
                ingestions.retry_later(tx, held, wait, 0 if limited else 1)
                _leave_alone(tx, error.model, error.retry_after)

            return self._end(later, "later")
        message = error.message
        return self._end(
            lambda tx: ingestions.fail(tx, held, "server_error", message), "server_error"
        )

    def _end(self, act: Callable[[Transaction], None], ended: str) -> str:
        self._write(act)
        return ended

    def _write(self, act: Callable[[Transaction], None]) -> None:
        for attempt in range(_TRIES):
            try:
                with self._database.transaction() as tx:
                    act(tx)
                return
            except Unavailable:
                if self._stopping:
                    raise
                pause(attempt)
        with self._database.transaction() as tx:
            act(tx)

    def _clear_in_time(self) -> bool:
        """Now and then, and on while there is something."""
        if time.monotonic() < self._clear_at:
            return False
        cleared = self.clear()
        if not cleared:
            self._clear_at = time.monotonic() + _CLEAR_SECONDS
        return cleared

    def clear(self) -> bool:
        """Ends stores that are over, deletes chunks that are nobody's, and indexes those of stores
        that have grown, some at once. Whether there were any."""
        with self._database.transaction() as tx:
            expired = ingestions.end_expired(tx, _EXPIRED_AT_ONCE)
        with self._database.transaction() as tx:
            cleared = chunks.clear(tx, _CLEARED_AT_ONCE)
        with self._database.autocommit() as tx:
            turned_over = nearest.turn_over(tx, _TURNED_OVER_AT_ONCE)
        return bool(expired) or cleared or turned_over


def _told(held: Ingestion) -> dict[str, str]:
    return {
        "file_id": held.file_id,
        "vector_store_id": held.vector_store_id,
        "project_id": held.project_id,
    }


def _leave_alone(tx: Transaction, model: str | None, seconds: float | None) -> None:
    """No file is claimed for so long, by any worker."""
    if model and seconds:
        model_pauses.pause(tx, model, seconds)
