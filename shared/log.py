"""Logging: one line of JSON per event on stderr. Constant event names, fields beside them.

Ids, statuses, milliseconds and token counts; never prompts, answers or keys. What an error says may
quote any of these, so a trace tells its kind and its places, not its words; and of libraries only
warnings are heard, for at DEBUG they show what they send.
"""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from shared.errors import SettingsError, Unavailable

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OURS = ("api", "cli", "shared", "worker")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": record.name,
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[1]:
            line["trace"] = "\n".join(_trace(record.exc_info[1]))
        return json.dumps(line, default=str)


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in _OURS:
        logging.getLogger(name).setLevel(level)


def configure_process(level: str) -> None:
    """Also for what nobody catches."""
    configure(level)
    log = logging.getLogger(__name__)

    def tell(kind: Any, error: Any, trace: Any) -> None:
        log.critical("uncaught", exc_info=(kind, error, trace))

    sys.excepthook = tell
    threading.excepthook = lambda args: tell(*args[:3])


def name_of(error: BaseException) -> str:
    """The kind of an HTTP client's error, with the status that it met; its words quote the address,
    or the answer."""
    status = getattr(getattr(error, "response", None), "status_code", "")
    return f"{type(error).__name__} {status}".rstrip()


def _trace(error: BaseException) -> Iterator[str]:
    """Innermost call last, then what led to it."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        # The first are our own words, for whoever starts us; PostgreSQL's errors have a code.
        ours = isinstance(cause, SettingsError | Unavailable)
        more = str(cause) if ours else getattr(cause, "sqlstate", None) or ""
        yield f"{type(cause).__module__}.{type(cause).__qualname__} {more}".rstrip()
        for frame, line in traceback.walk_tb(cause.__traceback__):
            yield f"  {frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
