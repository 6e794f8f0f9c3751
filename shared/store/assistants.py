"""Assistants: who answers, and how. A run copies what it needs, so later changes leave it alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Json

from shared.db import Transaction
from shared.errors import NotFound
from shared.ids import new_id
from shared.store import pages
from shared.store.pages import Page, PageRequest

_COLUMNS = (
    "id, project_id, created_at, name, description, model, instructions, tools, tool_resources,"
    " metadata, temperature, top_p, response_format, reasoning_effort"
)
_SELECT = "SELECT " + _COLUMNS + " FROM assistants WHERE project_id = %(project_id)s"
_JSON = frozenset({"tools", "tool_resources", "metadata", "response_format"})


@dataclass(frozen=True, kw_only=True)
class AssistantSettings:
    """What a caller may set; the defaults are the wire's."""

    model: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]]
    tool_resources: dict[str, Any]
    metadata: dict[str, str]
    temperature: float = 1.0
    top_p: float = 1.0
    response_format: Any = "auto"
    reasoning_effort: str | None = None


@dataclass(frozen=True, kw_only=True)
class Assistant(AssistantSettings):
    id: str
    project_id: str
    created_at: datetime


def create(tx: Transaction, project_id: str, settings: AssistantSettings) -> Assistant:
    assistant = tx.one(
        Assistant,
        "INSERT INTO assistants (id, project_id, name, description, model, instructions, tools,"
        " tool_resources, metadata, temperature, top_p, response_format, reasoning_effort)"
        " VALUES (%(id)s, %(project_id)s, %(name)s, %(description)s, %(model)s, %(instructions)s,"
        " %(tools)s, %(tool_resources)s, %(metadata)s, %(temperature)s, %(top_p)s,"
        " %(response_format)s, %(reasoning_effort)s) RETURNING " + _COLUMNS,
        {"id": new_id("asst"), "project_id": project_id, **_parameters(vars(settings))},
    )
    assert assistant is not None
    return assistant


def get(tx: Transaction, project_id: str, assistant_id: str) -> Assistant:
    assistant = tx.one(
        Assistant, _SELECT + " AND id = %(id)s", {"project_id": project_id, "id": assistant_id}
    )
    if assistant is None:
        raise _not_found(assistant_id)
    return assistant


def list_page(tx: Transaction, project_id: str, request: PageRequest) -> Page[Assistant]:
    return pages.read(
        tx,
        Assistant,
        request,
        select=_SELECT,
        cursor="SELECT sequence FROM assistants"
        " WHERE project_id = %(project_id)s AND id = %(cursor)s",
        parameters={"project_id": project_id},
    )


def update(
    tx: Transaction, project_id: str, assistant_id: str, changes: Mapping[str, Any]
) -> Assistant:
    """Changes only the settings named; two callers who change different ones both succeed."""
    assistant = tx.one(
        Assistant,
        _SELECT + " AND id = %(id)s FOR UPDATE",
        {"project_id": project_id, "id": assistant_id},
    )
    if assistant is None:
        raise _not_found(assistant_id)
    updated = tx.one(
        Assistant,
        "UPDATE assistants SET name = %(name)s, description = %(description)s, model = %(model)s,"
        " instructions = %(instructions)s, tools = %(tools)s, tool_resources = %(tool_resources)s,"
        " metadata = %(metadata)s, temperature = %(temperature)s, top_p = %(top_p)s,"
        " response_format = %(response_format)s, reasoning_effort = %(reasoning_effort)s"
        " WHERE id = %(id)s RETURNING " + _COLUMNS,
        _parameters({**vars(assistant), **changes}),
    )
    assert updated is not None
    return updated


def delete(tx: Transaction, project_id: str, assistant_id: str) -> None:
    deleted = tx.execute(
        "DELETE FROM assistants WHERE project_id = %(project_id)s AND id = %(id)s",
        {"project_id": project_id, "id": assistant_id},
    )
    if not deleted:
        raise _not_found(assistant_id)


def _parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Json(value) if name in _JSON else value for name, value in values.items()}


def _not_found(assistant_id: str) -> NotFound:
    return NotFound(f"No assistant found with id '{assistant_id}'.")
