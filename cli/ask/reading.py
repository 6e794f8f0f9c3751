"""The input as questions, a line at a time: text, JSON lines or CSV, in UTF-8.

Lines end with a line feed, with or without a carriage return before it; empty ones are no
questions but count. Nothing is kept, so the length of the file does not matter.
"""

import csv
import hashlib
import sys
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

import orjson

from cli.ask.errors import AskError
from cli.ask.questions import Bad, BadLineError, Question, of_object, of_row, of_text, read_line

FORMATS = ("text", "jsonl", "csv")
STDIN = "-"
LONGEST_LINE = 16 << 20
_BY_SUFFIX = {".txt": "text", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
_PIECE = 1 << 20
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

Lines = Iterator[tuple[int, bytes]]


def format_of(name: str, asked: str | None) -> str:
    """Never guessed from the content: to ask the wrong thing 100,000 times is dear."""
    found = asked or _BY_SUFFIX.get(Path(name).suffix.lower())
    if found is None:
        shown = "Standard input" if name == STDIN else name
        raise AskError(f"{shown} may be anything: say --format text, jsonl or csv.")
    return found


@contextmanager
def opened(name: str, beside: Path) -> Iterator[IO[bytes]]:
    """What comes from standard input is kept in a file without a name, to be read twice."""
    if name != STDIN:
        with open(name, "rb") as file:
            yield file
        return
    with tempfile.TemporaryFile(dir=beside) as kept:
        try:
            while piece := sys.stdin.buffer.read(_PIECE):
                kept.write(piece)
        except OSError as error:
            raise AskError(f"Standard input cannot be kept: {error.strerror}.") from None
        yield kept


def digest_of(file: IO[bytes]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def questions(file: IO[bytes], kind: str, skipped: Container[int] = ()) -> Iterator[Question | Bad]:
    """All but those on the lines to be skipped."""
    file.seek(0)
    if kind == "csv":
        return (one for one in _rows(file) if one.line not in skipped)
    lines = ((number, line) for number, line in _lines(file) if number not in skipped)
    return _objects(lines) if kind == "jsonl" else _texts(lines)


def _texts(lines: Lines) -> Iterator[Question | Bad]:
    for number, line in lines:
        yield read_line(number, lambda n=number, it=line: of_text(n, _decoded(it).strip()))


def _objects(lines: Lines) -> Iterator[Question | Bad]:
    for number, line in lines:
        yield read_line(number, lambda n=number, it=line: of_object(n, _parsed(it)))


class _Told:
    """Lines for csv, which does not say on which one a row began."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.begun = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        self.begun = self.begun or number
        return line.decode("utf-8", "surrogateescape") + "\n"


def _rows(file: IO[bytes]) -> Iterator[Question | Bad]:
    """A row that spans lines is named by its first."""
    csv.field_size_limit(LONGEST_LINE)
    told = _Told(_lines(file, empty=True))
    records = _records(told)
    header = _header(next(records, (1, []))[1])
    for number, row in records:
        yield read_line(number, lambda n=number, it=row: of_row(n, _cells(header, it)))


def _records(told: _Told) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(told, strict=True)
    while True:
        told.begun = 0
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise AskError(f"Line {told.begun} is no CSV: {error}.") from None
        if row:
            yield told.begun, row


def _header(row: list[str]) -> list[str]:
    if "question" not in row or len(set(row)) < len(row):
        raise AskError(
            "The first line of the CSV must name its columns, each once, and one of them "
            f"'question'; it has {', '.join(map(repr, row))}."
        )
    return row


def _cells(header: list[str], row: list[str]) -> dict[str, str]:
    if len(row) != len(header):
        raise BadLineError(f"has {len(row)} columns, and the header {len(header)}")
    if not all(cell.isascii() or _is_text(cell) for cell in row):
        raise BadLineError("is not UTF-8")
    return dict(zip(header, row, strict=True))


def _is_text(cell: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in cell)


def _lines(file: IO[bytes], *, empty: bool = False) -> Lines:
    """With their numbers, without their ends. Of one that is too long there comes just enough to
    see that."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        rest = line
        while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE + 1)
        if number == 1:
            if line.startswith(_UTF16):
                raise AskError("The input is UTF-16; save it as UTF-8.")
            line = line.removeprefix(_BOM)
        line = line.rstrip(b"\r\n")
        if empty or line.strip():
            yield number, line


def _parsed(line: bytes) -> object:
    _decoded(line)
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLineError(f"is not JSON ({error})") from None


def _decoded(line: bytes) -> str:
    if len(line) > LONGEST_LINE:
        raise BadLineError(f"is longer than {LONGEST_LINE >> 20} MB")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise BadLineError("is not UTF-8") from None
