"""What came of it: figures for each kind of fault."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.faults.ledger import Violation

COLUMNS = [
    "accepted",
    "completed",
    "failed",
    "over",
    "lost",
    "doubled",
    "stuck",
    "owner",
    "other",
    "|",
    "rec50",
    "rec95",
    "post95",
]


@dataclass
class Figures:
    """Of one kind of fault: counts of runs and violations; seconds."""

    name: str
    accepted: int = 0
    completed: int = 0
    failed: int = 0
    over: int = 0  # cancelled or expired
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    owner: int = 0
    other: int = 0
    recoveries: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)

    def add(self, more: "Figures") -> None:
        for name, value in vars(more).items():
            if name != "name":
                setattr(self, name, getattr(self, name) + value)

    def count_violation(self, kind: str) -> None:
        column = {"wrong owner": "owner"}.get(kind, kind)
        column = column if column in ("lost", "doubled", "stuck", "owner") else "other"
        setattr(self, column, getattr(self, column) + 1)

    def cells(self) -> list[str]:
        counts = [str(getattr(self, name)) for name in COLUMNS[: COLUMNS.index("|")]]
        shares = [(self.recoveries, 50), (self.recoveries, 95), (self.posts, 95)]
        return [*counts, "|", *(_seconds(percentile(values, share)) for values, share in shares)]


@dataclass(frozen=True)
class Outcome:
    figures: list[Figures]
    violations: list[tuple[str, Violation]] = field(default_factory=list)  # beside a fault's name


def merged(outcomes: Iterable[Outcome]) -> Outcome:
    by_name: dict[str, Figures] = {}
    violations: list[tuple[str, Violation]] = []
    for outcome in outcomes:
        violations += outcome.violations
        for figures in outcome.figures:
            by_name.setdefault(figures.name, Figures(figures.name)).add(figures)
    return Outcome([by_name[name] for name in sorted(by_name)], violations)


def shown(outcome: Outcome) -> str:
    everything = Figures("all")
    for figures in outcome.figures:
        everything.add(figures)
    rows = [["", *COLUMNS]]
    rows += [[figures.name, *figures.cells()] for figures in [*outcome.figures, everything]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    found = [f"{name}: {one.kind}: {one.what}" for name, one in outcome.violations]
    return "\n".join([*lines, "", f"{len(found)} violations", *found])


def percentile(values: Sequence[float], share: int) -> float | None:
    """The smallest value that `share` percent of them do not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * share / 100) - 1)]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
