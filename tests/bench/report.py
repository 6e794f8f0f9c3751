"""What the scripts are told on the command line, how they show that they go on, and what they found."""

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_LINE_SECONDS = 5.0


def options(name: str, about: str | None) -> argparse.ArgumentParser:
    """With `--json`. From now SIGTERM ends this process as Ctrl-C does: what it started ends too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(
        prog=".".join(filter(None, ("python -m tests.bench", name))),
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser


class Progress:
    """On stderr: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._told = -_LINE_SECONDS

    def __call__(self, words: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{words}")
        elif time.monotonic() > self._told + _LINE_SECONDS:
            self._told = time.monotonic()
            sys.stderr.write(f"{words}\n")
        sys.stderr.flush()

    def end(self) -> None:
        sys.stderr.write("\r\x1b[K" if sys.stderr.isatty() else "")
        sys.stderr.flush()


def write(figures: Mapping[str, float], faults: list[str], to: Path | None) -> int:
    """The figures as a table, what is wrong below it. The status to end with: 1 if anything is."""
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        say(f"{name:<{width}}  {number(value):>10}")
    for fault in faults:
        say(f"WRONG: {fault}")
    if to:
        found = {**machine(), "figures": dict(figures), "wrong": faults}
        to.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if faults else 0


def machine() -> dict[str, str | int | None]:
    return {"machine": platform.platform(), "cores": os.cpu_count()}


def number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
