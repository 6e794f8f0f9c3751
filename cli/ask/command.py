"""`treadle ask`: what is typed, and what is said at the end."""

import sys
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from cli.ask.address import address
from cli.ask.answers import COMPLETED
from cli.ask.errors import InterruptError
from cli.ask.job import Plan, Taken, taken
from cli.ask.progress import amount, duration
from cli.ask.reading import FORMATS, format_of
from cli.ask.work import Manner, Work
from shared.errors import TreadleError

_MOST_IN_FLIGHT = 1000
_GOES_ON = "The same command goes on from here."
_GIVEN = ("assistant", "model", "instructions")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("questions", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    *("-o", "--output"),
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Where the answers go: JSON lines, or CSV if it ends with .csv.",
)
@click.option("--assistant", metavar="ID", help="Who answers, unless a question says otherwise.")
@click.option("--model", metavar="NAME", help="Of the assistant that is made if none is named.")
@click.option("--instructions", metavar="TEXT", help="What it is told beside the questions.")
@click.option(
    "--in-flight",
    type=click.IntRange(1, _MOST_IN_FLIGHT),
    default=64,
    show_default=True,
    help="Questions that are asked at once.",
)
@click.option("--keep-order", is_flag=True, help="Answers in the order of the questions.")
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), help="Of the input, if its name does not say."
)
@click.option("--skip-bad", is_flag=True, help="Tell of bad lines in the output; ask the others.")
@click.option(
    "--retries",
    type=click.IntRange(0, 100),
    default=2,
    show_default=True,
    help="Further runs for a question whose run the server failed.",
)
@click.option("--restart", is_flag=True, help="Lose what the output holds, and ask all anew.")
@click.option(
    "--base-url", envvar="OPENAI_BASE_URL", show_envvar=True, default="", help="Whom to ask."
)
@click.option("--key", envvar="OPENAI_API_KEY", show_envvar=True, default="", help="Its key.")
@click.pass_context
def ask(context: click.Context, questions: str, output: Path, **typed: Any) -> None:
    """Ask all questions of a file: none twice, none lost.

    \b
        treadle ask questions.txt -o answers.jsonl --model gpt-4o
        treadle ask questions.jsonl -o answers.jsonl --assistant asst_...
        treadle ask questions.csv -o answers.csv --model gpt-4o --keep-order

    QUESTIONS is a file (- is standard input) of one question a line, of JSON lines with `question`
    or `messages`, or CSV with a column `question`. The same command, said again, goes on where the
    last one was ended, however that was. Asks the `treadle up` of TREADLE_HOME if no --base-url is
    given, or any other server of the Assistants API.

    The status is 0 if all are completed, 1 if some are not, 2 if nothing more can be asked.
    """
    try:
        sys.exit(_ask(questions, output, typed, _is_typed(context, "key")))
    except InterruptError as error:
        _end(f"{error} {_GOES_ON}", error.status)
    except KeyboardInterrupt:
        _end(f"Interrupted. {_GOES_ON}", 130)
    except TreadleError as error:
        _end(str(error), 2)


def _ask(questions: str, output: Path, typed: dict[str, Any], key_is_typed: bool) -> int:
    kind = format_of(questions, typed["kind"])
    base_url, key = address(typed["base_url"], typed["key"], key_is_typed=key_is_typed)
    given = {name: typed[name] for name in _GIVEN if typed[name]}
    plan = Plan(
        input=questions,
        kind=kind,
        output=output,
        base_url=base_url,
        given=given,
        skip_bad=typed["skip_bad"],
        keep_order=typed["keep_order"],
        restart=typed["restart"],
    )
    manner = Manner(
        base_url=base_url,
        key=key,
        in_flight=typed["in_flight"],
        retries=typed["retries"],
        keep_order=typed["keep_order"],
        given=given,
    )
    with taken(plan) as job:
        return _work(job, manner, output)


def _work(taken: Taken, manner: Manner, output: Path) -> int:
    if taken.torn:
        _say(f"{output} had a torn end: {taken.torn:,} bytes are cut off, and fetched again.")
    before = sum(taken.output.statuses.values())
    if before:
        _say(f"{before:,} of {taken.job.count:,} are answered already.")
    work = Work(manner, taken)
    try:
        if before < taken.job.count:
            work.run(sys.stderr)
    finally:
        if work.state().done or work.asker.counts.asked:
            click.echo(_summary(work, before, output))
    return int(work.state().failed > 0)


def _summary(work: Work, before: int, output: Path) -> str:
    now, counts = work.state(), work.asker.counts
    statuses = sorted(work.statuses.items(), key=lambda one: one[0] != COMPLETED)
    told = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in statuses)
    answered = now.done - before
    rate = answered / work.seconds if work.seconds else 0.0
    return (
        f"{output}: {now.done:,} of {now.total:,} answered ({told or 'none'}).\n"
        f"This time: {counts.asked:,} asked, {answered:,} answered, {counts.retried:,} retried, "
        f"{amount(work.tokens)} tokens, {duration(work.seconds)}, {rate:,.1f}/s."
    )


def _is_typed(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _say(words: str) -> None:
    click.echo(words, err=True)


def _end(words: str, status: int) -> NoReturn:
    _say(f"treadle ask: {words}")
    sys.exit(status)
