"""How far a job is: one line that changes on a terminal, a line now and then elsewhere."""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import click
from tqdm import tqdm

_TERMINAL_SECONDS = 0.2
_LINE_SECONDS = 10.0
# Over which the rate is taken.
_RATE_SECONDS = 30.0
_TROUBLE_SECONDS = 2.0
_COLUMNS = 80
# Also what the terminal showed for Ctrl-C.
_CLEAR = "\r\x1b[K"


@dataclass(frozen=True, kw_only=True)
class State:
    total: int
    done: int
    failed: int
    tokens: int
    in_flight: int
    trouble: str | None  # why the server is waited for
    waited: float


class Rate:
    """Questions a second, lately."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, done: int, now: float) -> float:
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (done - before) / (now - then) if now > then else 0.0


class _Bar(tqdm):
    """tqdm draws it; the words are ours."""

    head = words = ""

    @property
    def format_dict(self) -> dict[str, Any]:
        shown = {"head": self.head, "words": self.words, "ncols": _columns(self.fp)}
        return {**super().format_dict, **shown}


async def show(state: Callable[[], State], to: IO[str]) -> None:
    """Until it is cancelled. Where nobody can be told any more, the job goes on."""
    try:
        await (_draw(state, to) if to.isatty() else _tell(state, to))
    except OSError:
        await asyncio.Event().wait()


async def _draw(state: Callable[[], State], to: IO[str]) -> None:
    tqdm.set_lock(threading.RLock())
    tqdm.monitor_interval = 0
    rate, now = Rate(), state()
    form = "{head} |{bar:12}| {words}"
    # It would look up how large the terminal is, once, and be silent in one that says 0.
    bar = _Bar(total=now.total, file=to, bar_format=form, leave=False, ncols=1, nrows=2)
    try:
        while True:
            now = state()
            bar.n, bar.head = now.done, head(now)
            bar.words = words(now, rate.of(now.done, time.monotonic()))
            bar.refresh()
            await asyncio.sleep(_TERMINAL_SECONDS)
    finally:
        bar.close()
        to.write(_CLEAR)


def _columns(terminal: IO[str]) -> int:
    """Some terminals do not know."""
    return os.get_terminal_size(terminal.fileno()).columns or _COLUMNS


async def _tell(state: Callable[[], State], to: IO[str]) -> None:
    rate = Rate()
    rate.of(state().done, time.monotonic())
    while True:
        await asyncio.sleep(_LINE_SECONDS)
        now = state()
        click.echo(f"{head(now)}  {words(now, rate.of(now.done, time.monotonic()))}", file=to)


def head(now: State) -> str:
    """As long at the end as at the beginning."""
    total = f"{now.total:,}"
    return f"{now.done:>{len(total)},}/{total} {int(100 * now.done / max(now.total, 1)):3} %"


def words(now: State, rate: float) -> str:
    """The most telling first: a narrow terminal cuts off the end."""
    left = (now.total - now.done) / rate if rate else None
    told = [
        f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s",
        f"{duration(left)} left" if left is not None else "",
        f"{now.failed:,} failed" if now.failed else "",
        f"{now.in_flight} in flight",
        f"{amount(now.tokens)} tokens" if now.tokens else "",
    ]
    if now.trouble and now.waited > _TROUBLE_SECONDS:
        told = [f"waiting {duration(now.waited)}: {now.trouble}", *told[2:]]
    return "  ".join(filter(None, told))


def duration(seconds: float) -> str:
    """`7 s`, `4:41`, `1:02:03`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def amount(number: int) -> str:
    """`940`, `12.3k`, `1.2M`."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return str(number)
