"""The output: a line for each answer, JSON or CSV by the file's name; and read back at resume."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from cli.ask.answers import Answer
from cli.ask.records import Records

_COLUMNS = (
    *("custom_id", "line", "status", "answer", "thread_id", "run_id"),
    *("prompt_tokens", "completion_tokens", "total_tokens"),
    *("error_code", "error_message", "metadata"),
)
_LONGEST_CELL = 1 << 30

# The number and the status of an answered line, and where the file's next one begins. There is
# none for the header.
Told = tuple[tuple[int, str] | None, int]


class Output:
    """Contains the lines of the input that have their answers; `statuses` counts these."""

    def __init__(self, path: Path, last_line: int) -> None:
        self._records = Records(path)
        self._as_csv = path.suffix.lower() == ".csv"
        self._answered = bytearray(last_line + 1)
        self.statuses: dict[str, int] = {}

    def close(self) -> None:
        self._records.close()

    def __contains__(self, line: object) -> bool:
        return isinstance(line, int) and self._answered[line] == 1

    def read(self) -> int:
        """Cuts off what follows the last whole answer; returns how many bytes that were."""
        size = 0
        with self._records.opened() as file:
            for told, end in _rows(file) if self._as_csv else _objects(file):
                if told is not None and not 0 < told[0] < len(self._answered):
                    break
                size = end
                if told is not None:
                    self._mark(*told)
        torn = self._records.size - size
        self._records.cut(size)
        if self._as_csv and not self._records.size:
            self._records.append(_row(_COLUMNS))
        return torn

    def clear(self) -> None:
        self._records.cut(0)
        self._records.sync()
        self._records.sync_name()

    def append(self, answer: Answer) -> None:
        self._records.append(_as_row(answer) if self._as_csv else orjson.dumps(answer) + b"\n")
        self._mark(answer.line, answer.status)

    def sync(self) -> None:
        self._records.sync()

    def _mark(self, line: int, status: str) -> None:
        self._answered[line] = 1
        self.statuses[status] = self.statuses.get(status, 0) + 1


def _objects(file: IO[bytes]) -> Iterator[Told]:
    end = 0
    for line in file:
        end += len(line)
        try:
            told = orjson.loads(line if line.endswith(b"\n") else b"")
            yield (int(told["line"]), str(told["status"])), end
        except (ValueError, TypeError, KeyError):
            return


def _rows(file: IO[bytes]) -> Iterator[Told]:
    """A row ends with the line that closes its quotes."""
    csv.field_size_limit(_LONGEST_CELL)
    end, quotes, record = 0, 0, list[bytes]()
    for line in file:
        record.append(line)
        quotes += line.count(b'"')
        if quotes % 2 or not line.endswith(b"\n"):
            continue
        row = b"".join(record)
        try:
            cells = next(csv.reader(io.StringIO(row.decode(), newline=""), strict=True))
            told = (int(cells[1]), cells[2]) if end else None
        except (ValueError, IndexError, csv.Error, StopIteration):
            return
        if len(cells) != len(_COLUMNS):
            return
        end += len(row)
        quotes, record = 0, []
        yield told, end


def _as_row(answer: Answer) -> bytes:
    usage, error = answer.usage or {}, answer.error
    return _row(
        (
            *(answer.custom_id, answer.line, answer.status, answer.answer),
            *(answer.thread_id, answer.run_id),
            *(usage.get(f"{kind}_tokens") for kind in ("prompt", "completion", "total")),
            *((error.code, error.message) if error else (None, None)),
            orjson.dumps(answer.metadata).decode() if answer.metadata else None,
        )
    )


def _row(cells: Iterable[Any]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue().encode()
