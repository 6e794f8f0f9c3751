"""Answers kept for an Idempotency-Key: the same key and request get the first answer again, also
after a crash, for they are committed with what they answer."""

from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Json

from shared.db import Transaction
from shared.errors import Conflict

KEPT_HOURS = 24


@dataclass(frozen=True)
class _Kept:
    request_sha256: bytes
    answer: dict[str, Any] | None


def reserve(
    tx: Transaction, project_id: str, key: str, request_sha256: bytes
) -> dict[str, Any] | None:
    """The first answer, or None if this is the first request, whose answer is then kept by `keep`.

    A request with the same key that is still under way is waited for. Raises Conflict if the key
    came with another request.
    """
    names = {"project_id": project_id, "key": key, "request_sha256": request_sha256}
    first = tx.execute(
        "INSERT INTO answers (project_id, key, request_sha256)"
        " VALUES (%(project_id)s, %(key)s, %(request_sha256)s) ON CONFLICT DO NOTHING",
        names,
    )
    if first:
        return None
    kept = tx.one(
        _Kept,
        "SELECT request_sha256, answer FROM answers"
        " WHERE project_id = %(project_id)s AND key = %(key)s",
        names,
    )
    assert kept is not None
    if kept.request_sha256 != request_sha256:
        raise Conflict(
            f"The Idempotency-Key '{key}' was used for another request.",
            code="idempotency_key_reused",
        )
    return kept.answer


def keep(tx: Transaction, project_id: str, key: str, answer: dict[str, Any]) -> None:
    tx.execute(
        "UPDATE answers SET answer = %(answer)s"
        " WHERE project_id = %(project_id)s AND key = %(key)s",
        {"project_id": project_id, "key": key, "answer": Json(answer)},
    )


def forget_old(tx: Transaction, most: int) -> None:
    tx.execute(
        "DELETE FROM answers WHERE ctid IN (SELECT ctid FROM answers"
        " WHERE created_at < now() - make_interval(hours => %(hours)s) LIMIT %(most)s)",
        {"hours": KEPT_HOURS, "most": most},
    )
