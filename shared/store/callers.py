"""Who may call: projects (tenants) and their keys. A secret is shown once and never stored."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from shared.db import Transaction
from shared.errors import NotFound
from shared.ids import new_id, random_text

SECRET_PREFIX = "tr-"

_KEY = "SELECT id, project_id, name, hint, created_at, revoked_at FROM keys "


@dataclass(frozen=True, kw_only=True)
class Key:
    id: str
    project_id: str
    name: str
    hint: str  # the secret's first and last characters
    created_at: datetime
    revoked_at: datetime | None


def create(tx: Transaction, name: str) -> tuple[Key, str]:
    """A new project with its key; the secret (256 bits and more) is returned here only."""
    secret = SECRET_PREFIX + random_text(44)
    ids = {"project_id": new_id("proj"), "id": new_id("key"), "name": name}
    tx.execute("INSERT INTO projects (id, name) VALUES (%(project_id)s, %(name)s)", ids)
    tx.execute(
        "INSERT INTO keys (id, project_id, name, hint, secret_sha256)"
        " VALUES (%(id)s, %(project_id)s, %(name)s, %(hint)s, %(secret_sha256)s)",
        {**ids, "hint": f"{secret[:6]}…{secret[-4:]}", "secret_sha256": _sha256(secret)},
    )
    return _get(tx, ids["id"]), secret


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


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
