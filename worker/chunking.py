"""Cuts a text into chunks that overlap, each of so many tokens at most.

Tokens are estimated (`shared.tokens`), which is too high for most text: a chunk is never longer
than a model of that many tokens takes. A chunk ends where the text has an end, of a paragraph
rather than a sentence rather than a word, if there is one in its last quarter.
"""

from collections.abc import Iterator

from shared.store.chunks import Piece
from shared.tokens import BYTES_PER_TOKEN

_ENDS = ("\n\n", "\n", ". ", "? ", "! ", "。", " ")


def cut(text: str, most_tokens: int, overlap_tokens: int) -> Iterator[Piece]:
    """In order; what a chunk does not repeat of the one before it is the text again."""
    start = repeated = 0
    while True:
        end = start + _fitting(text, start, most_tokens * BYTES_PER_TOKEN)
        if end < len(text):
            end = _end(text, end - (end - start) // 4, end)
        yield Piece(text[start:end], repeated)
        if end >= len(text):
            return
        following = max(start + 1, end - _fitting_before(text, end, overlap_tokens))
        following = _beginning(text, following, end)
        start, repeated = following, end - following


def _fitting(text: str, start: int, most_bytes: int) -> int:
    """How many characters from there on have so many bytes at most; one at least."""
    piece = text[start : start + most_bytes].encode()
    return max(1, len(piece[:most_bytes].decode("utf-8", "ignore")))


def _fitting_before(text: str, end: int, tokens: int) -> int:
    most_bytes = tokens * BYTES_PER_TOKEN
    if not most_bytes:
        return 0
    piece = text[max(0, end - most_bytes) : end].encode()
    return len(piece[-most_bytes:].decode("utf-8", "ignore"))


def _end(text: str, least: int, most: int) -> int:
    for end in _ENDS:
        found = text.rfind(end, least, most)
        if found >= 0:
            return found + len(end)
    return most


def _beginning(text: str, start: int, end: int) -> int:
    """The next word's, rather than the middle of one."""
    found = text.find(" ", start, start + 40)
    return found + 1 if 0 <= found < end else start
