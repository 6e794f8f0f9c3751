"""Fills a database with what was said and done before: threads with messages, ended runs and their
steps, spread over the last ninety days. By SQL in steps; the rows are as Treadle writes them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from shared.ids import DIGITS

RUNS_A_THREAD = 2
_THREADS_A_STEP = 10_000
_DAYS_MS = 90 * 86_400_000
# Bytes on the disk with indexes and what is written on the way, rounded up.
_BYTES_A_MESSAGE = 1200
_BYTES_A_RUN = 3200
_TABLES = ("threads", "messages", "runs", "run_steps")

# No trigger looks up what is known to be there; a crash may cost what is made anew anyway.
_SESSION = "SET session_replication_role = replica; SET synchronous_commit = off"
_STAMP = " || ".join(
    f"substr('{DIGITS}', 1 + (ms / {62**place} %% 62)::int, 1)" for place in range(7, -1, -1)
)
# An id in our format: its time, and letters that follow from its number.
_ID = (
    "CREATE FUNCTION pg_temp.id(prefix text, number bigint, ms bigint) RETURNS text IMMUTABLE"
    f" LANGUAGE sql AS $$ SELECT prefix || '_' || {_STAMP} || left(md5(prefix || number), 16) $$"
).replace("%%", "%")
_TEXT = (
    "CREATE FUNCTION pg_temp.text(number bigint, times int) RETURNS json IMMUTABLE LANGUAGE sql AS"
    """ $$ SELECT ('[{"type":"text","text":{"value":"' || repeat(md5(number::text) || ' ', times)"""
    """ || '","annotations":[]}}]')::json $$"""
)
# Of each thread t, its runs r, and of these their messages m; `ms` is the thread's time.
_THREADS = (
    " FROM generate_series(%(first)s::bigint, %(last)s) AS t"
    " CROSS JOIN LATERAL (SELECT %(from_ms)s::bigint + t * %(step_ms)s AS ms) AS at"
)
_RUNS = (
    _THREADS + " CROSS JOIN generate_series(0, %(runs)s - 1) AS r"
    " CROSS JOIN LATERAL (SELECT pg_temp.id('thread', t, ms) AS thread_id,"
    " pg_temp.id('run', t * %(runs)s + r, ms + r * 60000) AS run_id,"
    " to_timestamp((ms + r * 60000) / 1000.0) AS moment) AS run"
)
_USAGE = (
    '{"prompt_tokens":90,"completion_tokens":30,"total_tokens":120,'
    '"prompt_token_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}'
)
_INSERTS = (
    "INSERT INTO threads (id, project_id, created_at, tool_resources, metadata)"
    " SELECT pg_temp.id('thread', t, ms), %(project_id)s, to_timestamp(ms / 1000.0), '{}', '{}'"
    + _THREADS,
    # The last message of each run is its answer.
    "INSERT INTO messages (id, project_id, thread_id, created_at, role, content, attachments,"
    " metadata, assistant_id, run_id, completed_at)"
    " SELECT pg_temp.id('msg', (t * %(runs)s + r) * %(messages)s + m, ms + r * 60000 + m),"
    " %(project_id)s, thread_id, moment + m * interval '1 ms',"
    " CASE WHEN answers THEN 'assistant' ELSE 'user' END,"
    " pg_temp.text(t + m, CASE WHEN answers THEN 20 ELSE 6 END), '[]', '{}',"
    " CASE WHEN answers THEN %(assistant_id)s END, CASE WHEN answers THEN run_id END,"
    " CASE WHEN answers THEN moment + m * interval '1 ms' END"
    + _RUNS
    + " CROSS JOIN generate_series(0, %(messages)s - 1) AS m"
    " CROSS JOIN LATERAL (SELECT m = %(messages)s - 1 AS answers) AS whose ORDER BY t, r, m",
    "INSERT INTO runs (id, project_id, thread_id, assistant_id, created_at, status, model, tools,"
    " tool_resources, metadata, temperature, top_p, truncation_strategy, tool_choice,"
    " parallel_tool_calls, response_format, expires_at, started_at, completed_at, usage, fence,"
    " run_after, request_sha256)"
    " SELECT run_id, %(project_id)s, thread_id, %(assistant_id)s, moment, 'completed', 'echo',"
    """ '[]', '{}', '{}', 1, 1, '{"type":"auto","last_messages":null}', '"auto"', true, '"auto"',"""
    " moment + interval '10 minutes', moment, moment + interval '2 s', %(usage)s, 1, moment,"
    " sha256(run_id::bytea)" + _RUNS + " ORDER BY t, r",
    "INSERT INTO run_steps (id, project_id, thread_id, run_id, assistant_id, created_at, type,"
    " status, step_details, completed_at, usage)"
    " SELECT pg_temp.id('step', t * %(runs)s + r, ms + r * 60000), %(project_id)s, thread_id,"
    " run_id, %(assistant_id)s, moment, 'message_creation', 'completed',"
    " json_build_object('type', 'message_creation', 'message_creation', json_build_object("
    "'message_id', pg_temp.id('msg', (t * %(runs)s + r + 1) * %(messages)s - 1,"
    " ms + r * 60000 + %(messages)s - 1))), moment + interval '2 s', %(usage)s"
    + _RUNS
    + " ORDER BY t, r",
)


@dataclass(frozen=True)
class Past:
    """So many of each, at least."""

    messages: int
    runs: int

    @property
    def threads(self) -> int:
        return -(-self.runs // RUNS_A_THREAD)

    @property
    def messages_a_run(self) -> int:
        return max(2, round(self.messages / self.runs))

    @property
    def disk_bytes(self) -> int:
        """What it will take, roughly."""
        return self.messages * _BYTES_A_MESSAGE + self.runs * _BYTES_A_RUN


def fill(
    url: str, project_id: str, assistant_id: str, past: Past, show: Callable[[str], object]
) -> None:
    """Vacuumed and analysed at the end, as autovacuum would have done."""
    about = {
        "project_id": project_id,
        "assistant_id": assistant_id,
        "from_ms": time.time_ns() // 1_000_000 - _DAYS_MS,
        "step_ms": _DAYS_MS // past.threads,
        "runs": RUNS_A_THREAD,
        "messages": past.messages_a_run,
        "usage": _USAGE,
    }
    with psycopg.connect(url, autocommit=True) as connection:
        for prepare in (_SESSION, _ID, _TEXT):
            connection.execute(prepare)
        for first in range(0, past.threads, _THREADS_A_STEP):
            last = min(first + _THREADS_A_STEP, past.threads) - 1
            with connection.transaction():
                for insert in _INSERTS:
                    connection.execute(insert, {**about, "first": first, "last": last})
            show(f"{last + 1:,}/{past.threads:,} threads, with their messages, runs and steps")
        for table in _TABLES:
            show(f"vacuuming {table}")
            connection.execute(f"VACUUM (ANALYZE) {table}")
        connection.execute("CHECKPOINT")


def size(url: str) -> int:
    """Bytes of the database on the disk."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return row[0]
