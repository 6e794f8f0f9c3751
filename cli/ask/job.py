"""A job begun, or taken up where it was left."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cli.ask.errors import AskError
from cli.ask.journal import Job, Journal
from cli.ask.output import Output
from cli.ask.questions import Bad, Question
from cli.ask.reading import STDIN, digest_of, opened, questions
from cli.ask.survey import Survey, judged, survey

JOURNAL = ".journal"
_KINDS_WITHOUT_MODEL = ("text", "csv")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`given`: what --assistant, --model and --instructions say."""

    input: str
    kind: str
    output: Path
    base_url: str
    given: dict[str, str]
    skip_bad: bool
    keep_order: bool
    restart: bool

    @property
    def has_assistant(self) -> bool:
        return not self.given.keys().isdisjoint(("assistant", "model"))

    def options(self, digest: str) -> dict[str, Any]:
        return {
            "input": digest,
            "format": self.kind,
            "base-url": self.base_url,
            **{name: self.given.get(name) for name in ("assistant", "model", "instructions")},
            "skip-bad": self.skip_bad,
            "keep-order": self.keep_order,
        }


@dataclass(frozen=True)
class Taken:
    job: Job
    journal: Journal
    output: Output
    questions: Iterator[Question | Bad]
    torn: int  # bytes that were cut off the output


@contextmanager
def taken(plan: Plan) -> Iterator[Taken]:
    """Raises AskError where this cannot be asked, or is not what was begun on this output."""
    _require_apart(plan)
    with ExitStack() as stack:
        journal = stack.enter_context(
            closing(Journal(plan.output.with_name(plan.output.name + JOURNAL), plan.output))
        )
        file = stack.enter_context(opened(plan.input, plan.output.absolute().parent))
        options = plan.options(digest_of(file))
        journal.read_job()
        begun = None if plan.restart else journal.job
        job = _new_job(plan, file, options) if begun is None else begun
        _require_same(plan, job.options, options)
        output = stack.enter_context(closing(Output(plan.output, job.last_line)))
        if begun is None:
            output.clear()
            journal.start(job)
        torn = output.read()
        journal.read_begun(output)
        yield Taken(job, journal, output, _left(plan, file, output), torn)


def _new_job(plan: Plan, file: IO[bytes], options: dict[str, Any]) -> Job:
    _require_new(plan)
    if plan.kind in _KINDS_WITHOUT_MODEL and not plan.has_assistant:
        raise AskError("Say who is to answer: --assistant ID, or --model NAME.")
    found = survey(file, plan.kind, has_assistant=plan.has_assistant)
    if not found.count:
        raise AskError(f"{plan.input} holds no question.")
    if found.bad and not plan.skip_bad:
        raise AskError(_told_bad(plan.input, found))
    assistant = None
    if found.needs_assistant and "assistant" not in plan.given:
        assistant = {"model": found.first_model or "", "name": "treadle ask"}
        assistant |= {name: plan.given[name] for name in plan.given}
    return Job.new(
        options=options, count=found.count, last_line=found.last_line, assistant=assistant
    )


def _left(plan: Plan, file: IO[bytes], output: Output) -> Iterator[Question | Bad]:
    read = questions(file, plan.kind, skipped=output)
    for one in judged(read, has_assistant=plan.has_assistant):
        if isinstance(one, Bad) and not plan.skip_bad:
            raise AskError(f"{plan.input} has changed since it was looked at (line {one.line}).")
        yield one


def _told_bad(name: str, found: Survey) -> str:
    more = found.bad_count - len(found.bad)
    lines = [f"line {bad.line} {bad.reason}" for bad in found.bad]
    lines += [f"and {more:,} more"] if more else []
    shown = "\n  ".join(lines)
    return (
        f"{found.bad_count:,} of the {found.count:,} lines of {name} cannot be asked:\n  {shown}\n"
        "Nothing was asked. --skip-bad asks the others, and tells of these in the output."
    )


def _require_apart(plan: Plan) -> None:
    if plan.input != STDIN and plan.output.exists() and plan.output.samefile(plan.input):
        raise AskError(f"{plan.output} is the input: name another output.")


def _require_new(plan: Plan) -> None:
    if not plan.restart and plan.output.exists() and plan.output.stat().st_size:
        raise AskError(
            f"{plan.output} is there already, and no journal of `treadle ask` beside it: name "
            "another output, or say --restart to lose what it holds."
        )


def _require_same(plan: Plan, known: dict[str, Any], asked: dict[str, Any]) -> None:
    for name, before in known.items():
        if asked.get(name) != before:
            what = "another input" if name == "input" else f"{_shown(name, before)}"
            raise AskError(
                f"{plan.output} was begun with {what}. Say the same again to go on, name another "
                "output, or say --restart to lose what it holds."
            )


def _shown(name: str, value: Any) -> str:
    if value is None or value is False:
        return f"no --{name}"
    return f"--{name}" if value is True else f"--{name} {value}"
