"""How many runs this worker may take up now.

It holds as many as it is told to, and most of them wait for the model server. Those that do not
are at work in here: they need this process's one core and its few connections to PostgreSQL. More
of them than both can serve only get into each other's way: as many as there are connections are a
crowd. While the worker is crowded it takes up none, and none before half of the crowd is gone, as a
claim costs the same for one run and for some.

Batches never hold all of a worker, nor are they all of its crowd, so that a conversation finds room
however long a batch's answers take, and however short. For a moment after a conversation's run
began or ended here batches are little of the crowd: it shares the interpreter and the machine with
them.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from shared.settings import Settings
from shared.store.claims import ClaimedRun
from shared.store.runs import BATCH, CONVERSATION, LANES

_LOOK_SECONDS = 0.5
# An eighth of what a worker holds is kept for conversations.
_KEPT = 8
# Of a batch the next are claimed when so much of what it may hold is free, or of its crowd.
_WORTH_OF_HELD, _WORTH_OF_CROWD = 28, 2
# Batches may be half of the crowd, and a fifth for so many seconds after a conversation's run began
# or ended.
_OF_CROWD, _OF_CROWD_BESIDE, _BESIDE_SECONDS = 2, 5, 2.0


@dataclass(frozen=True)
class Free:
    most: int
    most_of_batch: int


class Places:
    """One per process. One thread at a time asks for what is free and says what it took."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        most = settings.concurrency
        self._most = most
        self._most_of_batch = max(1, most - -(-most // _KEPT))
        self.crowd = settings.database_pool
        self._clock = clock
        self._talked_until = clock()
        self._held: dict[str, int] = dict.fromkeys(LANES, 0)
        self._at_work: dict[str, int] = dict.fromkeys(LANES, 0)
        self._ended = 0
        self._is_crowded = False
        # Runs of a batch may wait only because there was no place for more of them.
        self._left = False
        # Runs may wait only for one of a model, or of a project, to end after so many had.
        self._left_after: int | None = None
        self._lock = threading.Lock()
        self._some_free = threading.Condition(self._lock)
        self._more_may_be_found = threading.Condition(self._lock)

    @property
    def at_work(self) -> int:
        return sum(self._at_work.values())

    @property
    def ended(self) -> int:
        """How many ended so far."""
        return self._ended

    def wait_for_some(self, is_over: Callable[[], bool]) -> Free | None:
        """None once it is over."""
        with self._lock:
            while not is_over():
                free = self._free()
                if free.most:
                    return free
                self._some_free.wait(_LOOK_SECONDS)
        return None

    def wait_for_left(self, is_over: Callable[[], bool]) -> bool:
        """Until a claim may find what an earlier one had to leave; False once it is over."""
        with self._lock:
            while not is_over():
                if self._may_find_more():
                    self._left, self._left_after = False, None
                    return True
                self._more_may_be_found.wait(_LOOK_SECONDS)
        return False

    def took(self, runs: Sequence[ClaimedRun], most: int, most_of_batch: int) -> None:
        """Of so many at most. They are at work from here on."""
        of_batch = sum(run.lane == BATCH for run in runs)
        with self._lock:
            for run in runs:
                self._held[run.lane] += 1
                self._at_work[run.lane] += 1
            self._note_conversation()
            # One more than was wanted, if the newest was asked for.
            if of_batch >= most_of_batch and most_of_batch < most:
                self._left = True
                self._tell()

    def left_by_bounds(self, ended: int) -> None:
        """A claim that began when so many had ended found bounds of a model or of a project."""
        with self._lock:
            self._left_after = ended
            self._tell()

    @contextmanager
    def working(self, run: ClaimedRun) -> Generator[None]:
        """By this thread, to the end of what this worker does for the run."""
        _current.at_work = partial(self._add_at_work, run.lane)
        try:
            yield
        finally:
            _current.at_work = None
            with self._lock:
                self._note_conversation()
                self._held[run.lane] -= 1
                self._at_work[run.lane] -= 1
                self._ended += 1
                self._tell()

    def _add_at_work(self, lane: str, count: int) -> None:
        with self._lock:
            self._at_work[lane] += count
            self._tell()

    def _tell(self) -> None:
        """Wakes nobody for nothing: this is done some times for each run."""
        if self._free().most:
            self._some_free.notify()
        if self._may_find_more():
            self._more_may_be_found.notify()

    def _free(self) -> Free:
        held, at_work = sum(self._held.values()), self.at_work
        self._is_crowded = at_work >= (self.crowd // 2 if self._is_crowded else self.crowd)
        most = 0 if self._is_crowded else min(self._most - held, self.crowd - at_work)
        return Free(most, min(most, self._free_of_batch()))

    def _free_of_batch(self) -> int:
        free = self._most_of_batch - self._held[BATCH]
        return max(0, min(free, self._crowd_of_batch() - self._at_work[BATCH]))

    def _may_find_more(self) -> bool:
        one_ended = self._left_after is not None and self._left_after != self._ended
        return one_ended or (self._left and self._free_of_batch() >= self._worth())

    def _worth(self) -> int:
        of_crowd = -(-self._crowd_of_batch() // _WORTH_OF_CROWD)
        return max(1, min(self._most_of_batch // _WORTH_OF_HELD, of_crowd))

    def _crowd_of_batch(self) -> int:
        is_beside = self._clock() < self._talked_until
        return max(1, self.crowd // (_OF_CROWD_BESIDE if is_beside else _OF_CROWD))

    def _note_conversation(self) -> None:
        if self._held[CONVERSATION]:
            self._talked_until = self._clock() + _BESIDE_SECONDS


@contextmanager
def away() -> Generator[None]:
    """Around a wait for another's server: meanwhile the run of this thread, if there is one, is not
    at work in here."""
    at_work = _current.at_work
    if at_work is None:
        yield
        return
    at_work(-1)
    try:
        yield
    finally:
        at_work(1)


class _Current(threading.local):
    at_work: Callable[[int], None] | None = None


_current = _Current()
