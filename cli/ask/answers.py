"""What is told of each question."""

from dataclasses import dataclass
from typing import Any

from cli.ask.questions import Bad, Question

COMPLETED = "completed"
NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`status` is the run's; `failed` also where no run could be begun, and `not_asked` for a bad
    line."""

    custom_id: str | None
    line: int
    status: str
    answer: str | None = None
    thread_id: str | None = None
    run_id: str | None = None
    usage: dict[str, Any] | None = None
    error: Failure | None = None
    metadata: dict[str, Any] | None = None

    @property
    def tokens(self) -> int:
        total = (self.usage or {}).get("total_tokens")
        return total if isinstance(total, int) else 0


def refused(question: Question, failure: Failure) -> Answer:
    """For which there is no run."""
    return Answer(
        custom_id=question.custom_id,
        line=question.line,
        status="failed",
        error=failure,
        metadata=question.metadata,
    )


def not_asked(bad: Bad) -> Answer:
    failure = Failure("bad_line", f"Line {bad.line} {bad.reason}.")
    return Answer(custom_id=None, line=bad.line, status=NOT_ASKED, error=failure)
