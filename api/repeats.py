"""Requests that come again: the first answer once more, and nothing done twice.

Two ways to know one: an `Idempotency-Key`, on every POST that makes something; and an SDK's own
retry, which says that it is one (`x-stainless-retry-count`) though not of what. The latter is
recognised only where the path names the thread it is about: of two equal requests for a new
thread, nobody could tell whether they are one client's or two's.
"""

import hashlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from flask import g

from api import current
from api.auth import project_id
from api.operations import Sent
from api.runtime import single, transaction
from shared.db import Transaction
from shared.errors import Invalid
from shared.store import answers

Body = dict[str, Any]

HEADER = "Idempotency-Key"


def remember(body: bytes) -> None:
    """When a request's body is read: what the request is, for as long as it lasts."""
    asked = current.asked()
    what = f"{asked.method} {asked.path}\n".encode() + body
    current.kept().request_sha256 = hashlib.sha256(what).digest()


def sent() -> Sent:
    return Sent(g.request_sha256, is_retry())


def is_retry() -> bool:
    """Whether an SDK says that it sent this before."""
    count = current.asked().headers.get("x-stainless-retry-count", "0")
    return bool(re.fullmatch(r"[1-9][0-9]{0,3}", count, re.ASCII))


def opened() -> AbstractContextManager[Transaction]:
    """For `once` with an `act` that is atomic by itself."""
    return transaction() if HEADER in current.asked().headers else single()


def once(tx: Transaction, act: Callable[[], Body]) -> Body:
    """What `act` gives, in the transaction that does it; or what it gave to this key before."""
    key = current.asked().headers.get(HEADER)
    if key is None:
        return act()
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise Invalid(
            f"Invalid '{HEADER}': expected 1 to 255 visible ASCII characters.",
            param=HEADER,
            code="invalid_value",
        )
    first = answers.reserve(tx, project_id(), key, g.request_sha256)
    if first is not None:
        return first
    answer = act()
    answers.keep(tx, project_id(), key, answer)
    return answer
