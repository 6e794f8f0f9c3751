"""Pages of a list: the order and the cursor come from the same key, `sequence`.

Each page is one range scan of an index, so page 10,000 costs what page 1 costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, LiteralString, TypeVar

from shared.db import Transaction
from shared.errors import Invalid

T = TypeVar("T")

_LAST = 2**63 - 1

ASCENDING = " AND sequence > %(above)s AND sequence < %(below)s ORDER BY sequence LIMIT %(fetched)s"
DESCENDING = (
    " AND sequence > %(above)s AND sequence < %(below)s ORDER BY sequence DESC LIMIT %(fetched)s"
)


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """`after` and `before` are ids: only what stands beyond them in the requested order."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    data: list[T]
    has_more: bool


def read(
    tx: Transaction,
    row: type[T],
    request: PageRequest,
    *,
    select: LiteralString,
    cursor: LiteralString,
    parameters: Mapping[str, Any],
) -> Page[T]:
    """`select` ends within its WHERE clause; `cursor` finds the sequence of `%(cursor)s`.

    `before` alone gives the items nearest to it, and `has_more` speaks of the side away from it.
    """
    after = _sequence(tx, cursor, parameters, "after", request.after)
    before = _sequence(tx, cursor, parameters, "before", request.before)
    ascending = request.order == "asc"
    above, below = (after, before) if ascending else (before, after)
    backwards = before is not None and after is None
    query = select + (ASCENDING if ascending != backwards else DESCENDING)
    bounds = {
        "above": 0 if above is None else above,
        "below": _LAST if below is None else below,
        "fetched": request.limit + 1,
    }
    rows = tx.all(row, query, {**parameters, **bounds})
    data = rows[: request.limit]
    return Page(data[::-1] if backwards else data, has_more=len(rows) > request.limit)


def _sequence(
    tx: Transaction,
    cursor: LiteralString,
    parameters: Mapping[str, Any],
    name: str,
    id_: str | None,
) -> int | None:
    if id_ is None:
        return None
    sequence = tx.value(cursor, {**parameters, "cursor": id_})
    if sequence is None:
        raise Invalid(
            f"Invalid '{name}': no object found with id '{id_}' in this list.",
            param=name,
            code="invalid_value",
        )
    return int(sequence)
