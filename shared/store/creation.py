"""How runs come to be: on a thread that there is, or with a thread of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared.db import Transaction
from shared.errors import Conflict
from shared.run_state import RunStatus
from shared.store import assistants, messages, threads, transitions
from shared.store.messages import NewMessage
from shared.store.runs import (
    ACTIVE,
    BUSY,
    COLUMNS,
    CONVERSATION,
    OPTIONS,
    AskedOptions,
    Run,
    active_on,
    count_in_line,
)

_JSON = frozenset(
    {"tools", "tool_resources", "metadata", "truncation_strategy", "tool_choice", "response_format"}
)

# Runs that may stand in line on one thread.
MOST_IN_LINE = 100


@dataclass(frozen=True, kw_only=True)
class NewRun:
    id: str
    project_id: str
    thread_id: str
    assistant_id: str
    options: AskedOptions
    life_seconds: int
    streamed: bool = False
    request_sha256: bytes | None = None
    lane: str = CONVERSATION
    # Which must exist, and the run needs something to answer; a chat completion has none.
    by_assistant: bool = True


_ASSISTANT: LiteralString = (
    "assistant AS (SELECT * FROM assistants"
    " WHERE project_id = %(project_id)s AND id = %(assistant_id)s)"
)
_TOLD: LiteralString = (
    " LEFT JOIN assistant ON TRUE CROSS JOIN LATERAL (SELECT"
    " CASE WHEN %(additional_instructions)s <> ''"
    " THEN concat_ws(E'\n', nullif(said, ''), %(additional_instructions)s) ELSE said END"
    " AS instructions FROM coalesce(%(instructions)s, assistant.instructions) AS said) AS told"
)


def _is_ready(is_asked: LiteralString) -> LiteralString:
    return (
        " WHERE (NOT %(by_assistant)s OR assistant.id IS NOT NULL AND (told.instructions <> '' OR "
        + is_asked
        + "))"
    )


_INSERT: LiteralString = (
    " INSERT INTO runs (id, project_id, thread_id, assistant_id, lane, streamed, request_sha256,"
    " life_seconds, expires_at, run_after, "
    + OPTIONS
    + ") SELECT %(id)s, %(project_id)s, thread.id, %(assistant_id)s,"
    " %(lane)s, %(streamed)s, %(request_sha256)s,"
    " %(life_seconds)s, make_interval(secs => %(life_seconds)s) + CASE WHEN %(in_line)s THEN"
    " (SELECT max(expires_at) FROM runs WHERE thread_id = %(thread_id)s AND "
    + ACTIVE
    + ") ELSE clock_timestamp() END,"
    " CASE WHEN %(in_line)s THEN 'infinity' ELSE clock_timestamp() END,"
    " coalesce(%(model)s, assistant.model), told.instructions,"
    " coalesce(%(tools)s, assistant.tools),"
    " coalesce(%(tool_resources)s, assistant.tool_resources), %(metadata)s,"
    " coalesce(%(temperature)s, assistant.temperature), coalesce(%(top_p)s, assistant.top_p),"
    " %(max_prompt_tokens)s, %(max_completion_tokens)s, %(truncation_strategy)s,"
    " %(tool_choice)s, %(parallel_tool_calls)s,"
    " coalesce(%(response_format)s, assistant.response_format),"
    " coalesce(%(reasoning_effort)s, assistant.reasoning_effort)"
    " FROM thread" + _TOLD
)
# The thread's lock comes first, and what is numbered and timed comes under it.
_ON_THREAD: LiteralString = (
    "WITH thread AS (SELECT id FROM threads WHERE project_id = %(project_id)s"
    " AND id = %(thread_id)s FOR NO KEY UPDATE), "
    + _ASSISTANT
    + _INSERT
    + _is_ready("EXISTS (SELECT FROM messages WHERE thread_id = %(thread_id)s AND role = 'user')")
    + " ON CONFLICT (thread_id) WHERE "
    + BUSY
    + " DO NOTHING RETURNING "
    + COLUMNS
)


def create(tx: Transaction, new: NewRun, *, may_wait: bool = False) -> Run:
    """The thread must be locked. Raises NotFound without the assistant; Conflict while another run
    of the thread is active, or gets in line behind that if it may; Conflict where nothing is to be
    answered. Those ahead live at most until the last of them expires, and then this one's life
    begins."""
    in_line = _get_in_line(tx, new.thread_id) if may_wait else False
    active = None if may_wait else active_on(tx, new.thread_id)
    created = None if active else _insert(tx, _ON_THREAD, new, {"in_line": in_line})
    if created is None:
        _require_assistant(tx, new)
        if active:
            raise Conflict(f"Thread {new.thread_id} already has an active run {active}.")
        raise _nothing_to_answer()
    return created


def create_if_ready(tx: Transaction, new: NewRun) -> Run | None:
    """As `create`, and locks the thread itself: one statement, which needs no transaction around
    it. None, and nothing is written, unless thread and assistant exist, and the thread is not busy
    and gives the run something to answer."""
    return _insert(tx, _ON_THREAD, new, {"in_line": False})


def create_with_thread(
    tx: Transaction,
    new: NewRun,
    *,
    tool_resources: dict[str, Any],
    metadata: dict[str, str],
    first: Sequence[NewMessage],
) -> Run:
    """With the thread that the run names and its first messages: one statement, which needs no
    transaction around it. Raises as `create`, and nothing is written then."""
    told = {
        **threads.of_new(new.project_id, new.thread_id, tool_resources, metadata, first),
        "is_asked": any(message.role == "user" for message in first),
        "in_line": False,
    }
    created = _insert(tx, _with_thread(first), new, told)
    if created is None:
        _require_assistant(tx, new)
        raise _nothing_to_answer()
    return created


def _with_thread(first: Sequence[NewMessage]) -> LiteralString:
    """The run's place is behind the messages, so they are numbered before it."""
    return (
        "WITH "
        + _ASSISTANT
        + ", thread AS ("
        + threads.INSERT
        + " FROM (VALUES (0)) AS one"
        + _TOLD
        + _is_ready("%(is_asked)s")
        + " RETURNING id), added AS ("
        + messages.insert(first, " WHERE EXISTS (SELECT FROM thread)")
        + " RETURNING id), all_added AS (SELECT count(*) FROM added)"
        + _INSERT
        + " CROSS JOIN all_added RETURNING "
        + COLUMNS
    )


def _insert(tx: Transaction, query: LiteralString, new: NewRun, told: dict[str, Any]) -> Run | None:
    options = {
        name: Json(value) if name in _JSON and value is not None else value
        for name, value in vars(new.options).items()
    }
    created = transitions.change(tx, Run, RunStatus.QUEUED, query, {**vars(new), **options, **told})
    return created[0] if created else None


def _require_assistant(tx: Transaction, new: NewRun) -> None:
    if new.by_assistant:
        assistants.get(tx, new.project_id, new.assistant_id)


def _nothing_to_answer() -> Conflict:
    return Conflict(
        "Run creation requires a Thread with a user message or an assistant with instructions.",
        code="invalid_thread",
    )


def _get_in_line(tx: Transaction, thread_id: str) -> bool:
    """Whether there is a run to stand behind, and it is bound to call at its end: it is told so in
    its own row, which its end must take. Who ended meanwhile may have called the next, so that one
    is told instead."""
    while active_on(tx, thread_id) is not None:
        told = tx.execute(
            "UPDATE runs SET followed = TRUE WHERE thread_id = %(thread_id)s AND " + BUSY,
            {"thread_id": thread_id},
        )
        if told:
            if count_in_line(tx, thread_id) >= MOST_IN_LINE:
                raise Conflict(
                    f"Thread {thread_id} already has {MOST_IN_LINE} runs that wait for their turn."
                )
            return True
    return False
