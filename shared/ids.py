"""Ids as the wire shapes them: a prefix, an underscore and 24 letters and digits.

The first eight characters count milliseconds, so that rows made together lie together in an index
(random ids cost a tenth more and bloat); the other sixteen hold 95 random bits.
"""

import hashlib
import secrets
import time

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in DIGITS for second in DIGITS]

# A digit for each byte, but for the last eight: with them the first digits would be likelier.
_TOO_MANY = bytes(range(248, 256))
_DIGIT_OF = (DIGITS * 5).encode()[:256]

# On the wire a file's id is the only one with a hyphen.
_SEPARATORS = {"file": "-"}

PREFIXES = {
    "assistant_id": "asst",
    "thread_id": "thread",
    "message_id": "msg",
    "run_id": "run",
    "step_id": "step",
    "batch_id": "batch",
    "vector_store_id": "vs",
    "file_batch_id": "vsfb",
    "key_id": "key",
    "project_id": "proj",
}


def new_id(prefix: str) -> str:
    """`new_id("run")` → `run_` + 24 characters, in the order of creation to the millisecond."""
    separator = _SEPARATORS.get(prefix, "_")
    return f"{prefix}{separator}{_base62(time.time_ns() // 1_000_000, 8)}{random_text(16)}"


def derived_id(prefix: str, run_id: str, place: str) -> str:
    """The same for every worker that comes to the same place of a run, and beside the run in an
    index: a stream may name a message before it is stored, and a takeover names it again."""
    own = run_id.rpartition("_")[2]
    digest = hashlib.sha256(f"{prefix} {run_id} {place}".encode()).digest()
    return f"{prefix}_{own[:8]}{_base62(int.from_bytes(digest), 16)}"


def random_text(length: int) -> str:
    """Of digits of which each is as likely as any other."""
    digits = b""
    while len(digits) < length:
        digits += secrets.token_bytes(length + 8).translate(_DIGIT_OF, _TOO_MANY)
    return digits[:length].decode()


def is_wellformed(text: str) -> bool:
    """Whether an id could name a row at all: letters, digits, `_` and `-`, as every id we make."""
    return len(text) <= 200 and text.isascii() and text.replace("_", "").replace("-", "").isalnum()


def _base62(number: int, length: int) -> str:
    """`length` is even: two digits are found at once."""
    pairs: list[str] = []
    for _ in range(0, length, 2):
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))
