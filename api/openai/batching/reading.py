"""The lines of a batch's file: read in bounded pieces, each judged as far as the batch depends on
it. What a line asks for is judged when its turn comes, and answered there."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.blobs import PIECE, Blobs
from shared.store.batch_lines import NewLine
from shared.store.batches import Batch

MOST_LINES = 50_000
LARGEST_FILE = 200 * 1024 * 1024
MOST_ERRORS = 100
_LONGEST_ID = 512
_LINES_A_STEP = 1000
_BYTES_A_STEP = 4 * 1024 * 1024


@dataclass
class Chunk:
    """What one step has read; `read_bytes` and `read_lines` count from the file's beginning."""

    read_bytes: int
    read_lines: int
    is_last: bool = False
    lines: list[NewLine] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    model: str | None = None


def read(blobs: Blobs, batch: Batch, longest: int) -> Chunk:
    """The next lines, of at most `longest` bytes each."""
    chunk = Chunk(batch.read_bytes, batch.read_lines)
    for line in _lines(blobs, batch, longest):
        number, at_byte = chunk.read_lines + 1, chunk.read_bytes
        chunk.read_lines, chunk.read_bytes = number, at_byte + len(line)
        if len(line) > longest:
            chunk.errors.append(error("line_too_long", f"More than {longest} bytes.", line=number))
            chunk.is_last = True
        elif line.strip():
            _judge(chunk, batch.endpoint, line, number, at_byte)
        if len(chunk.lines) >= _LINES_A_STEP or chunk.is_last:
            return chunk
        if chunk.read_bytes - batch.read_bytes >= _BYTES_A_STEP:
            return chunk
    chunk.is_last = True
    return chunk


def error(
    code: str, message: str, *, param: str | None = None, line: int | None = None
) -> dict[str, Any]:
    return {"code": code, "message": message, "param": param, "line": line}


def parsed(line: bytes) -> dict[str, Any]:
    """A line that was judged good."""
    return orjson.loads(line)


def _lines(blobs: Blobs, batch: Batch, longest: int) -> Iterator[bytes]:
    """With their ends. One that is too long is given as far as it was read."""
    rest = b""
    pieces = blobs.pieces(batch.input_file_id, batch.read_bytes)
    try:
        for piece in pieces:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line + b"\n"
            if len(rest) > longest + PIECE:
                break
        if rest:
            yield rest
    finally:
        pieces.close()


def _judge(chunk: Chunk, endpoint: str, line: bytes, number: int, at_byte: int) -> None:
    try:
        asked = orjson.loads(line)
    except orjson.JSONDecodeError:
        chunk.errors.append(
            error("invalid_json_line", "This line is not parseable as valid JSON.", line=number)
        )
        return
    fault = _fault(asked, endpoint, number)
    if fault is not None:
        chunk.errors.append(fault)
        return
    model = asked["body"].get("model")
    if chunk.model is None and isinstance(model, str) and "\0" not in model:
        chunk.model = model[:256]
    chunk.lines.append(
        NewLine(line=number, custom_id=asked["custom_id"], at_byte=at_byte, length=len(line))
    )


def _fault(asked: Any, endpoint: str, number: int) -> dict[str, Any] | None:
    if not isinstance(asked, dict):
        return error("invalid_json_line", "This line is not a JSON object.", line=number)
    for name in ("custom_id", "method", "url", "body"):
        if name not in asked:
            message = f"Missing required parameter: '{name}'."
            return error("missing_required_parameter", message, param=name, line=number)
    if not _is_id(asked["custom_id"]):
        message = f"Expected a string of 1 to {_LONGEST_ID} characters without U+0000."
        return error("invalid_custom_id", message, param="custom_id", line=number)
    if asked["method"] != "POST":
        return error("invalid_method", "Expected 'POST'.", param="method", line=number)
    if asked["url"] != endpoint:
        message = f"The URL is not the batch's endpoint, '{endpoint}'."
        return error("invalid_url", message, param="url", line=number)
    if not isinstance(asked["body"], dict):
        return error("invalid_body", "Expected an object.", param="body", line=number)
    return None


def _is_id(custom_id: Any) -> bool:
    return (
        isinstance(custom_id, str) and 0 < len(custom_id) <= _LONGEST_ID and "\0" not in custom_id
    )
