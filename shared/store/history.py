"""What was said in a thread, as a model is told of it."""

from dataclasses import dataclass
from typing import Any, LiteralString

from shared.db import Transaction
from shared.store.runs import Run

# What stands before: a run's place, and the room behind it for its own messages, as much as the
# sequence grows by; or anything.
_BEFORE: LiteralString = " + 1048576, 9223372036854775807)"


@dataclass(frozen=True)
class Said:
    """A message as the model is told of it."""

    role: str
    content: list[dict[str, Any]]
    id: str = ""
    run_id: str | None = None


def read(
    tx: Transaction, thread_id: str, *, last: int | None = None, until: Run | None = None
) -> list[Said]:
    """The thread's messages, oldest first; `last` limits them to the newest, `until` to those that
    the run knows: what was said before it was created, and its own."""
    newest_first = tx.all(
        Said,
        "SELECT id, run_id, role, content FROM messages WHERE thread_id = %(thread_id)s"
        " AND sequence < coalesce(%(place)s::bigint"
        + _BEFORE
        + " ORDER BY sequence DESC LIMIT %(last)s",
        {"thread_id": thread_id, "last": last, "place": until and until.place},
    )
    return newest_first[::-1]


# As `read` until a row of `runs`, in JSON, where that is little; else NULL. What is stored in
# little may be long, so both are looked at.
SHORT: LiteralString = (
    "(SELECT CASE WHEN count(*) <= 16 AND bool_and(is_short) THEN json_agg(json_build_object("
    "'id', id, 'run_id', run_id, 'role', role, 'content', content) ORDER BY sequence)"
    " FILTER (WHERE is_short) END FROM (SELECT id, run_id, role, content, sequence,"
    " CASE WHEN pg_column_size(content) <= 2048 THEN octet_length(content::text) <= 8192"
    " ELSE FALSE END AS is_short FROM messages WHERE thread_id = runs.thread_id"
    " AND sequence < coalesce(runs.place" + _BEFORE + " ORDER BY sequence DESC LIMIT 17) AS newest)"
)
