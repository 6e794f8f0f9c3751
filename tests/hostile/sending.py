"""Sends raw bytes and reads what comes."""

import json
import re
import socket
from dataclasses import dataclass

from tests.hostile.requests import Hostile

PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Outcome:
    """`status` 0: closed without a word. `flaw`: what is wrong with it."""

    status: int
    flaw: str = ""


def send(port: int, hostile: Hostile) -> Outcome:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        try:
            connection.sendall(hostile.raw)
            if hostile.half:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while not _is_whole(answer) and (piece := connection.recv(65536)):
                answer += piece
        except TimeoutError:
            return Outcome(0, "hangs")
        except (BrokenPipeError, ConnectionResetError):
            # What was said before the end of a request that was not taken whole may be lost.
            answer = b""
    return _judged(answer)


def _is_whole(answer: bytes) -> bool:
    """A connection that is kept open after it is no hang."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


def _judged(answer: bytes) -> Outcome:
    if not answer:
        return Outcome(0)
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status >= 500:
        return Outcome(status, "a server's error")
    if b"Traceback" in answer or b'File "' in answer:
        return Outcome(status, "a trace")
    if status >= 400 and not _is_envelope(body):
        return Outcome(status, f"not the envelope: {body[:80]!r}")
    return Outcome(status)


def _is_envelope(body: bytes) -> bool:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        # An answer to a HEAD-like method has none.
        return not body
    return set(error) == {"message", "type", "param", "code"}
