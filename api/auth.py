"""Who calls: a request's key → its project. Keys are looked up by hash and remembered briefly, so
that a revoked one is refused everywhere within that time.

The key stands in `Authorization: Bearer`, or in `api-key` as Azure's clients send it, on every
mount. Where both are sent and differ, the Bearer is the caller: a gateway may add an `api-key` of
its own, but nobody's Authorization is set in passing.
"""

import threading
import time
from dataclasses import dataclass
from typing import Self

from api import current
from api.runtime import runtime, single
from shared.errors import TreadleError
from shared.store import callers
from shared.store.callers import Key

REMEMBERED_SECONDS = 10.0
_MOST_REMEMBERED = 10_000
_LONGEST_KEY = 200

_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header"
    " using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank"
    " username) if you're accessing the API from your browser and are prompted for a username and"
    " password. You can obtain an API key from https://platform.openai.com/account/api-keys."
)
_WRONG_KEY = (
    "Incorrect API key provided: {masked}. You can find your API key at"
    " https://platform.openai.com/account/api-keys."
)


class UnauthenticatedError(TreadleError):
    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True)
class Caller:
    project_id: str
    key_id: str
    # 0: no limit.
    requests_per_minute: int
    queued_runs: int

    @classmethod
    def of(cls, key: Key) -> Self:
        return cls(
            key.project_id,
            key.id,
            _own_or_set(key.requests_per_minute, runtime().settings.requests_per_minute),
            _own_or_set(key.queued_runs, runtime().settings.queued_runs),
        )


def authenticate() -> None:
    """Before a request: sets the caller, or raises UnauthenticatedError."""
    secret = _secret()
    if not secret:
        raise UnauthenticatedError(_NO_KEY, None)
    found = _remembered.get(secret)
    if found is None or found[1] < time.monotonic():
        found = _look_up(secret)
    current.kept().caller = found[0]


def has_key() -> bool:
    """Whether the request sends a key, good or bad."""
    return bool(_secret())


def caller() -> Caller:
    return current.kept().caller


def project_id() -> str:
    return caller().project_id


_remembered: dict[str, tuple[Caller, float]] = {}
_lock = threading.Lock()


def _secret() -> str:
    headers = current.asked().headers
    scheme, _, secret = headers.get("Authorization", "").partition(" ")
    bearer = secret.strip() if scheme.lower() == "bearer" else ""
    return bearer or headers.get("api-key", "").strip()


def _look_up(secret: str) -> tuple[Caller, float]:
    key = None
    if len(secret) <= _LONGEST_KEY and secret.isascii():
        with single() as tx:
            key = callers.find(tx, secret)
    if key is None:
        raise UnauthenticatedError(_WRONG_KEY.format(masked=_masked(secret)), "invalid_api_key")
    found = Caller.of(key), time.monotonic() + REMEMBERED_SECONDS
    with _lock:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[secret] = found
    return found


def _own_or_set(own: int | None, otherwise: int) -> int:
    return otherwise if own is None else own


def _masked(secret: str) -> str:
    shown = secret[:_LONGEST_KEY]
    if len(shown) <= 12:
        return "*" * len(shown)
    return f"{shown[:8]}{'*' * (len(shown) - 12)}{shown[-4:]}"
