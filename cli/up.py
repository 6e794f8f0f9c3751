"""`treadle up`: everything in the foreground, from packages alone.

It starts what the settings do not name, asks one question so that the first answer is seen, says
how to ask the next one, and then keeps every part alive until it is stopped.
"""

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import click

from cli.embedded import model
from cli.embedded.home import Home
from cli.embedded.processes import Child
from cli.embedded.question import QUESTION, Question, alias_to_ask, model_to_ask
from cli.embedded.stack import Stack, beyond_proxies
from shared.settings import Settings

TICK_SECONDS = 0.1
PATIENCE_SECONDS = 30.0
Say = Callable[[str], None]


def up(settings: Settings) -> None:
    say = _clock()
    state = Home(settings.home.absolute())
    state.create()
    with state.lock(), _interruptible():
        say(f"Treadle {version('treadle')}, state and logs in {_shown(state.directory)}")
        stack = Stack(settings, state, say)
        try:
            stack.start()
            _serve(stack, say)
        except KeyboardInterrupt:
            click.echo()
            say("Stopping")
        finally:
            _ignore_interrupts()
            stack.stop()
        say("Stopped")


def _serve(stack: Stack, say: Say) -> NoReturn:
    """Asks the first question while tending the parts, so that a slow answer delays nothing."""
    key = stack.secret
    stack.state.write_client_settings(stack.address.base_url, key)
    question = _question(stack, say)
    asking = _ask(stack, question, key, say) if question else None
    patience = time.monotonic() + PATIENCE_SECONDS
    guided = False
    while True:
        stack.tend()
        if asking and not asking.running:
            _show_answer(asking, say)
            asking = None
        if not guided and (asking is None or time.monotonic() > patience):
            _guide(stack, key, question or Question("your-model"))
            guided = True
        time.sleep(TICK_SECONDS)


def _question(stack: Stack, say: Say) -> Question | None:
    """None where nothing could answer."""
    if stack.no_model:
        return None
    if stack.local_model:
        return Question(alias_to_ask(stack.settings) or "gpt-4o", calm=True)
    name = model_to_ask(stack.settings)
    if name is None:
        say(
            f"No question is asked: {stack.settings.model_base_url} does not list its models. "
            "Name one with TREADLE_MODELS='*=MODEL'"
        )
        return None
    return Question(name)


def _ask(stack: Stack, question: Question, key: str, say: Say) -> Child:
    say(f"Asked: {QUESTION}")
    environment = beyond_proxies(dict(os.environ))
    environment |= {"OPENAI_BASE_URL": stack.address.base_url, "OPENAI_API_KEY": key}
    return question.ask(environment, stack.state.log("question"))


def _show_answer(asking: Child, say: Say) -> None:
    lines = asking.output().strip().splitlines() or ["nothing"]
    if asking.exit_status == 0:
        say("Answered: " + "\n          ".join(lines))
    else:
        say(f"The question failed: {lines[-1]}")


def _guide(stack: Stack, key: str, question: Question) -> None:
    python = shlex.quote(_shown(Path(sys.executable)))
    client_env = shlex.quote(_shown(stack.state.client_env))
    click.echo(f"\nBase URL  {stack.address.base_url}\nKey       {key}")
    click.echo("\nBoth are in client.env. A program to paste into another terminal:\n")
    click.echo(f". {client_env}")
    click.echo(f"{python} -W ignore - <<'END'\n{question.program}END\n")
    if stack.no_model:
        click.echo(f"No question can be answered yet. {stack.no_model}")
    elif stack.local_model:
        click.echo(
            f"{model.MODEL} is here so that the first answer is real and offline, not so that it "
            "is good.\nWith a model server of yours:"
            f" TREADLE_MODEL_BASE_URL=http://127.0.0.1:11434/v1 {_own_command()}"
        )
    click.echo("Ctrl-C stops everything.")


def _own_command() -> str:
    return shlex.quote(_shown(Path(sys.executable).with_name("treadle"))) + " up"


def _shown(path: Path) -> str:
    """As short as it is true from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _clock() -> Say:
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:5.1f} s  {text}")

    return say


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal stop it as Ctrl-C does."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_interrupts() -> None:
    """The stop is bounded; a second Ctrl-C would only leave it half done."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
