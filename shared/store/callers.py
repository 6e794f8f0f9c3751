"""Who may call: projects (tenants) and their keys. A secret is shown once and never stored."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.db import Transaction
from shared.errors import NotFound
from shared.ids import new_id, random_text

SECRET_PREFIX = "tr-"

_KEY = (
    "SELECT id, project_id, name, hint, requests_per_minute, queued_runs, created_at, revoked_at"
    " FROM keys "
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """None: what the settings say; 0: no limit. `queued_runs` counts all of the project's."""

    requests_per_minute: int | None = None
    queued_runs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Key(Limits):
    id: str
    project_id: str
    name: str
    hint: str  # the secret's first and last characters
    created_at: datetime
    revoked_at: datetime | None


def create(
    tx: Transaction, name: str, *, project_id: str | None = None, limits: Limits = Limits()
) -> tuple[Key, str]:
    """A key of that project, or of a new one; the secret (256 bits and more) is returned here
    only."""
    secret = SECRET_PREFIX + random_text(44)
    key_id = new_id("key")
    tx.execute(
        "INSERT INTO keys (id, project_id, name, hint, secret_sha256, requests_per_minute,"
        " queued_runs) VALUES (%(id)s, %(project_id)s, %(name)s, %(hint)s, %(secret_sha256)s,"
        " %(requests_per_minute)s, %(queued_runs)s)",
        {
            "id": key_id,
            "project_id": _known(tx, project_id) if project_id else _new_project(tx, name),
            "name": name,
            "hint": f"{secret[:6]}…{secret[-4:]}",
            "secret_sha256": _sha256(secret),
            **vars(limits),
        },
    )
    return _get(tx, key_id), secret


def find(tx: Transaction, secret: str) -> Key | None:
    """The key with this secret, unless it was revoked."""
    return tx.one(
        Key,
        _KEY + "WHERE secret_sha256 = %(secret_sha256)s AND revoked_at IS NULL",
        {"secret_sha256": _sha256(secret)},
    )


def valid_key(tx: Transaction, name: str) -> Key | None:
    """The key with this id, or the oldest of the project with it, unless it was revoked."""
    return tx.one(
        Key,
        _KEY + "WHERE (id = %(name)s OR project_id = %(name)s) AND revoked_at IS NULL"
        " ORDER BY created_at, id LIMIT 1",
        {"name": name},
    )


def list_all(tx: Transaction) -> list[Key]:
    return tx.all(Key, _KEY + "ORDER BY created_at, id")


def limit(tx: Transaction, key_id: str, changes: Mapping[str, int | None]) -> Key:
    """`changes` are members of Limits; the others stay as they are."""
    key = _get(tx, key_id)
    known = Limits(requests_per_minute=key.requests_per_minute, queued_runs=key.queued_runs)
    tx.execute(
        "UPDATE keys SET requests_per_minute = %(requests_per_minute)s,"
        " queued_runs = %(queued_runs)s WHERE id = %(id)s",
        {**vars(known), **changes, "id": key_id},
    )
    return _get(tx, key_id)


def revoke(tx: Transaction, key_id: str) -> Key:
    """A second time changes nothing."""
    tx.execute(
        "UPDATE keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s", {"id": key_id}
    )
    return _get(tx, key_id)


def _get(tx: Transaction, key_id: str) -> Key:
    key = tx.one(Key, _KEY + "WHERE id = %(id)s", {"id": key_id})
    if key is None:
        raise NotFound(f"No key found with id '{key_id}'.")
    return key


def _known(tx: Transaction, project_id: str) -> str:
    if tx.value("SELECT id FROM projects WHERE id = %(id)s", {"id": project_id}) is None:
        raise NotFound(f"No project found with id '{project_id}'.")
    return project_id


def _new_project(tx: Transaction, name: str) -> str:
    project_id = new_id("proj")
    tx.execute(
        "INSERT INTO projects (id, name) VALUES (%(id)s, %(name)s)",
        {"id": project_id, "name": name},
    )
    return project_id


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
