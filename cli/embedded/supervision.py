"""Keeps the parts of a running stack alive: one that ends is started again, never in a hot loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from cli.embedded.processes import Child, StartError

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0


class Part(Protocol):
    process: Child

    def launch(self) -> None: ...
    def wait_ready(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Watch:
    """One part: when it may be started again, and how long to wait the next time."""

    part: Part
    say: Callable[[str], None]
    pause: float = FIRST_PAUSE
    started_at: float = field(default_factory=time.monotonic)
    due_at: float | None = None

    def tend(self) -> None:
        """Called often; never waits."""
        if self.part.process.running:
            return
        now = time.monotonic()
        if self.due_at is None:
            self._schedule(now)
        elif now >= self.due_at:
            self._start_again(now)

    def _schedule(self, now: float) -> None:
        if now - self.started_at > STEADY_SECONDS:
            self.pause = FIRST_PAUSE
        child = self.part.process
        self.due_at = now + self.pause
        self.say(
            f"{child.name} ended (status {child.exit_status}); starting it again in "
            f"{self.pause:g} s. Its log is {child.log}"
        )

    def _start_again(self, now: float) -> None:
        self.pause = min(self.pause * 2, LONGEST_PAUSE)
        self.started_at, self.due_at = now, None
        try:
            self.part.launch()
        except (StartError, OSError) as error:
            self.say(str(error))
