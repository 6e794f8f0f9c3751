import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from shared import log
from shared.errors import SettingsError

SECRET = "sesame"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written to stderr, with logging as a process has it."""
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    log.configure_process("DEBUG")
    yield written
    root.handlers[:], root.level = handlers, level
    sys.excepthook, threading.excepthook = hooks


def told(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def fails() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise psycopg.errors.CheckViolation(f"Failing row contains ({SECRET})") from error


def test_an_error_is_told_by_its_kind_and_its_places_never_by_its_words(
    lines: io.StringIO,
) -> None:
    try:
        fails()
    except psycopg.Error:
        logging.getLogger("api.errors").exception("request failed", extra={"request_id": "req_1"})
    [line] = told(lines)
    assert SECRET not in lines.getvalue()
    assert (line["event"], line["level"], line["request_id"]) == (
        *("request failed", "ERROR", "req_1"),
    )
    heads = [one for one in line["trace"].split("\n") if not one.startswith(" ")]
    assert heads == ["psycopg.errors.CheckViolation 23514", "builtins.KeyError"]
    assert f"{__file__}:" in line["trace"]
    assert line["trace"].split("\n")[2].endswith(" fails")


def test_why_a_start_was_refused_is_told(lines: io.StringIO) -> None:
    try:
        raise SettingsError("REDIS_URL is not set.")
    except SettingsError:
        logging.getLogger("worker.app").exception("worker cannot start")
    assert "REDIS_URL is not set." in told(lines)[0]["trace"]


def test_an_error_that_nobody_catches_is_told_alike(lines: io.StringIO) -> None:
    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    try:
        fails()
    except psycopg.Error as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert [line["event"] for line in told(lines)] == ["uncaught", "uncaught"]
    assert SECRET not in lines.getvalue()


def test_libraries_are_heard_from_warnings_on_however_much_we_say(lines: io.StringIO) -> None:
    for name in ("openai._base_client", "httpx2", "psycopg", "worker.model"):
        logging.getLogger(name).debug("request options %s", SECRET)
        logging.getLogger(name).info("request to %s", SECRET)
        logging.getLogger(name).warning("slow")
    assert [(line["logger"], line["level"]) for line in told(lines)] == [
        ("openai._base_client", "WARNING"),
        ("httpx2", "WARNING"),
        ("psycopg", "WARNING"),
        ("worker.model", "DEBUG"),
        ("worker.model", "INFO"),
        ("worker.model", "WARNING"),
    ]


def test_an_http_clients_error_is_told_without_its_address() -> None:
    class _RefusedError(Exception):
        response = type("Response", (), {"status_code": 503})

    assert log.name_of(_RefusedError(f"for url http://me:{SECRET}@h/")) == "_RefusedError 503"
    assert log.name_of(ConnectionError(SECRET)) == "ConnectionError"
