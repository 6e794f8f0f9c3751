"""The small language of faults: what is done to a stage, how it is mended, what it permits."""

import time
from dataclasses import dataclass
from typing import ClassVar

from tests.faults.ledger import Window
from tests.faults.stage import Stage

# What clients may see while a fault lasts and shortly after.
REFUSALS = "refusals"  # 503 with Retry-After
LOST_ANSWERS = "lost answers"  # connections that break or time out
FAILURES = "failures"  # runs that end as failed
SLOW_ANSWERS = "slow answers"  # requests that wait for a process to start

FAULTS: list[type["Fault"]] = []


class Fault:
    """`name` says what happens. `rows` are the rows of README.md that it is the test of.

    `crashes` is how many workers it takes away: so often the model may be asked once more.
    Recovery counts from `struck_at`, for the runs in `struck`: those that the fault has hurt, or
    all that were unfinished when the cause was gone.
    """

    name: ClassVar[str] = ""
    rows: ClassVar[tuple[int, ...]] = ()
    seconds: ClassVar[float] = 2.0
    permits: ClassVar[frozenset[str]] = frozenset()
    crashes: ClassVar[int] = 0
    # Calls to the model break or are answered with nonsense meanwhile, and are made again.
    spoils_calls: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if cls.name:
            FAULTS.append(cls)

    def __init__(self) -> None:
        self.struck: set[str] = set()
        self.struck_at = 0.0
        self.doomed: set[str] = set()  # runs that are to fail

    def inject(self, stage: Stage) -> None:
        raise NotImplementedError

    def heal(self, stage: Stage) -> None:
        raise NotImplementedError

    def strikes(self, run_ids: set[str]) -> None:
        self.struck, self.struck_at = run_ids, time.time()


@dataclass
class Bout:
    """A fault as it was played: what it was, when it began, and how long it lasted."""

    number: int
    fault: Fault
    began: float
    window: Window
