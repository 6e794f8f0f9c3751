"""What clients were told: the runner's own book, kept apart from what Treadle says of itself."""

import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx2

# After a fault is mended, what it permits stays permitted for so long.
GRACE_SECONDS = 6.0
# Every request is answered by then, if only with 503; a held poll later, as it asked.
SLOWEST_SECONDS = 20.0
ENVELOPE = {"message", "type", "param", "code"}


@dataclass
class Accepted:
    """A run that was answered with 200."""

    run_id: str
    thread_id: str
    question: str
    client: str  # what its client does
    bout: int
    at: float  # Unix seconds
    last_seen: str = ""  # a terminal status that a client was shown


@dataclass
class Violation:
    bout: int
    kind: str
    what: str


@dataclass
class Window:
    """While a fault lasts: what clients may see that they never see otherwise."""

    permits: frozenset[str]
    begins: float
    ends: float = float("inf")

    def permits_at(self, what: str, begins: float, ends: float) -> bool:
        return what in self.permits and ends >= self.begins and begins <= self.ends + GRACE_SECONDS


@dataclass
class Ledger:
    bout: int = 0
    accepted: dict[str, Accepted] = field(default_factory=dict)
    # The messages of each thread as their clients sent them: the text, and whether it was taken.
    said: defaultdict[str, dict[str, bool]] = field(default_factory=lambda: defaultdict(dict))
    projects: dict[str, int] = field(default_factory=dict)  # of each thread
    gone: set[str] = field(default_factory=set)  # threads that their client deleted
    violations: list[Violation] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)  # of each bout: answers 503
    posts: list[tuple[float, float]] = field(default_factory=list)  # when, and seconds to answer
    windows: list[Window] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def accept(self, run_id: str, thread_id: str, question: str, client: str) -> None:
        with self._lock:
            self.accepted.setdefault(
                run_id, Accepted(run_id, thread_id, question, client, self.bout, time.time())
            )

    def saw(self, run_id: str, status: str) -> None:
        """A client was shown the run. What has ended stays as it is."""
        run = self.accepted.get(run_id)
        if run is None or status not in ENDS:
            return
        if run.last_seen not in ("", status):
            self.violate("end changed", f"{run_id}: {run.last_seen}, then {status}", run.bout)
        run.last_seen = status

    def violate(self, kind: str, what: str, bout: int | None = None) -> None:
        with self._lock:
            self.violations.append(Violation(self.bout if bout is None else bout, kind, what))

    def open_window(self, permits: frozenset[str]) -> Window:
        window = Window(permits, time.time())
        self.windows.append(window)
        return window

    def permits(self, what: str, begins: float, ends: float) -> bool:
        return any(window.permits_at(what, begins, ends) for window in self.windows)

    def begin_request(self, request: httpx2.Request) -> None:
        request.extensions["began"] = time.time()

    def note_response(self, response: httpx2.Response) -> None:
        """Every answer that any client gets passes here."""
        request = response.request
        began, now = request.extensions["began"], time.time()
        what = f"{request.method} {request.url.path}: {response.status_code}"
        held = "x-stainless-poll-helper" in request.headers
        if request.method == "POST":
            self.posts.append((began, now - began))
        if (
            now - began > SLOWEST_SECONDS
            and not held
            and not self.permits("slow answers", began, now)
        ):
            self.violate("slow answer", f"{what} after {now - began:.0f} s")
        if response.status_code < 400:
            return
        response.read()
        if not _is_envelope(response):
            self.violate("not an error envelope", f"{what} {response.text[:200]}")
        if response.status_code == 503 and "retry-after" in response.headers:
            self.refusals[self.bout] += 1
            if not self.permits("refusals", began, now):
                self.violate("503 without a reason", what)
        elif response.status_code >= 500:
            self.violate("server error", f"{what} {response.text[:300]}")

    def note_lost_answer(self, began: float, error: Exception) -> None:
        if not self.permits("lost answers", began, time.time()):
            self.violate("answer lost", repr(error))


ENDS = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})


def _is_envelope(response: httpx2.Response) -> bool:
    try:
        body: Any = response.json()
        return set(body) == {"error"} and set(body["error"]) == ENVELOPE
    except (ValueError, TypeError):
        return False
