"""Polls: how long a client should wait, and polls that are held open until the run stops.

Nobody is held who did not ask: `Prefer: wait=20` (RFC 7240) asks, and so does an SDK's poll
helper, which says that it is one.
"""

import re
import threading
import time
from collections.abc import Callable

from flask import g, request
from werkzeug.http import parse_dict_header

from api import metrics
from api.auth import project_id
from api.runtime import runtime
from shared.run_state import STOPPED
from shared.store.runs import Run

# Seconds until a held poll looks by itself: at the latest, should the event have been lost; and
# more often while nothing can be heard.
_LOOK_SECONDS = 2.0
_DEAF_LOOK_SECONDS = 0.25
# Within which it notices that its process is told to end.
_TICK_SECONDS = 2.0


def asked_to_hold() -> float:
    """Seconds that this request wants to be held, 0 for most."""
    longest = runtime().settings.hold_seconds
    wait = _preferred_wait()
    if wait is not None:
        return min(float(wait), longest)
    helper = request.headers.get("X-Stainless-Poll-Helper", "").lower() == "true"
    return longest if helper else 0.0


def _preferred_wait() -> int | None:
    """Whole seconds, from the first `wait` of the Prefer headers; what is malformed is no wish."""
    if "Prefer" not in request.headers:
        return None
    wishes = parse_dict_header(",".join(request.headers.getlist("Prefer")))
    for name, value in wishes.items():
        if name.strip().lower() == "wait":
            digits = (value or "").partition(";")[0].strip(' "')
            return int(digits) if re.fullmatch(r"[0-9]{1,6}", digits) else None
    return None


def hold(run_id: str, read: Callable[[], Run], seconds: float) -> tuple[Run, bool]:
    """The run as it is when it stops, or when the time is up, and whether the poll was held: not
    where as many wait as may. Holds no connection to PostgreSQL meanwhile, and does not read a run
    that this process has just made before there is something to see."""
    waiting = runtime().waiting
    if seconds <= 0 or not waiting.enter():
        return read(), False
    began = time.monotonic()
    try:
        with metrics.HELD_POLLS.track_inprogress():
            return _held(run_id, read, began + seconds), True
    finally:
        waiting.leave()
        g.held_seconds = time.monotonic() - began


def _held(run_id: str, read: Callable[[], Run], until: float) -> Run:
    with runtime().listener.stopped(run_id) as stopped:
        if runtime().listener.still_expects(run_id, project_id()):
            _wait(stopped, until)
        while True:
            stopped.clear()
            run = read()
            if run.status in STOPPED or time.monotonic() >= until or runtime().is_draining():
                return run
            _wait(stopped, until)


def _wait(stopped: threading.Event, until: float) -> None:
    """Until it is worth another look."""
    look = _LOOK_SECONDS if runtime().listener.connected else _DEAF_LOOK_SECONDS
    until = min(until, time.monotonic() + runtime().waiting.look_seconds(look))
    while (left := until - time.monotonic()) > 0 and not runtime().is_draining():
        if stopped.wait(min(left, _TICK_SECONDS)):
            return


def poll_after_ms(run: Run, held: bool) -> int | None:
    """When to ask again. openai-python takes the first answer's value for all later polls, so it
    is small; openai-node asks anew each time, so it grows with the run's age."""
    if run.status in STOPPED:
        return None
    if held:
        return 1
    age = time.time() - run.created_at.timestamp()
    return int(min(max(250.0, age * 250), 2000.0))
