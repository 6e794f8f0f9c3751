"""Fills vector stores with chunks that nobody has read: texts whose words are as unequal as those of a
language, and vectors that lie in clusters. By SQL in steps, on two connections; the indexes are made
afterwards."""

import queue
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import psycopg

from shared.embeddings import Vector
from shared.store import nearest

MODEL = "synthetic"
CHUNKS_A_FILE = 100
_CHUNKS_A_STEP = 2000
_WRITERS = 2
_WORDS = 120
# Bytes on the disk with indexes and what is written on the way, rounded up.
BYTES_A_CHUNK = 12_000

_SESSION = "SET synchronous_commit = off"
# Of 384 dimensions each: a chunk's vector is one of two thousand centres and three of a thousand
# noises together.
_DIRECTIONS = (
    "CREATE TABLE directions (kind text, number integer, direction halfvec,"
    " PRIMARY KEY (kind, number))",
    "SELECT setseed(0.5)",
    "INSERT INTO directions SELECT kind, number,"
    " ARRAY(SELECT random_normal(0, size) + 0 * number FROM generate_series(1, 384))::real[]::halfvec"
    " FROM (VALUES ('centre', 2000, 1.0), ('noise', 1000, 0.6)) AS of_kind (kind, most, size),"
    " generate_series(0, most - 1) AS number",
    "ANALYZE directions",
)
# The same number is always the same chunk.
_VECTOR = (
    "CREATE FUNCTION pg_temp.vector_of(seed bigint) RETURNS halfvec LANGUAGE sql AS $$"
    " SELECT l2_normalize(centre.direction + a.direction + b.direction + c.direction)"
    " FROM directions AS centre, directions AS a, directions AS b, directions AS c"
    " WHERE centre.kind = 'centre' AND centre.number = abs(hashint8(seed) % 2000)"
    " AND a.kind = 'noise' AND a.number = abs(hashint8extended(seed, 1) % 1000)"
    " AND b.kind = 'noise' AND b.number = abs(hashint8extended(seed, 2) % 1000)"
    " AND c.kind = 'noise' AND c.number = abs(hashint8extended(seed, 3) % 1000) $$"
)
# The commonest stands in some two fifths of the texts, the rarest in some thousands of a million.
_TEXT = (
    "CREATE FUNCTION pg_temp.text_of(seed bigint, words integer) RETURNS text LANGUAGE sql AS $$"
    " SELECT string_agg('k' || translate(floor(30 * power(1666, abs(hashint8extended(seed, word)"
    " % 1000000) / 1000000.0::float8))::integer::text, '0123456789', 'abdeghklmn'), ' ')"
    " FROM generate_series(1, words) AS word $$"
)
_FILES = (
    "INSERT INTO files (id, project_id, purpose, filename, size, sha256)"
    " SELECT %(store_id)s || '-' || f, %(project_id)s, 'assistants', f || '.txt', 0, ''"
    " FROM generate_series(0, %(files)s - 1) AS f",
    "INSERT INTO vector_store_files (sequence, vector_store_id, file_id, project_id, status,"
    " max_chunk_size_tokens, chunk_overlap_tokens, attributes, embedding_model)"
    " OVERRIDING SYSTEM VALUE"
    " SELECT %(first)s + f, %(store_id)s, %(store_id)s || '-' || f, %(project_id)s, 'completed',"
    " 800, 400, jsonb_build_object('tenth', f %% 10, 'hundredth', f %% 100), %(model)s"
    " FROM generate_series(0, %(files)s - 1) AS f",
)
_CHUNKS = (
    "INSERT INTO chunks (ingestion, number, vector_store_id, text, repeated, embedding,"
    " in_large_store) SELECT %(first)s + c / %(a_file)s, c %% %(a_file)s, %(store_id)s,"
    " pg_temp.text_of(%(first)s::bigint * %(a_file)s + c, %(words)s), 0,"
    " pg_temp.vector_of(%(first)s::bigint * %(a_file)s + c), %(large)s"
    " FROM generate_series(%(from)s::bigint, %(to)s - 1) AS c"
)


@dataclass(frozen=True)
class Filled:
    """A store with so many chunks, whose files are numbered from `first` on."""

    id: str
    first: int
    chunks: int

    @property
    def is_large(self) -> bool:
        return self.chunks > nearest._EXACT_MOST


def fill(url: str, project_id: str, stores: list[Filled], show: Callable[[str], object]) -> None:
    """Vacuumed and analysed at the end, as autovacuum would have done."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _DIRECTIONS:
            connection.execute(statement)
        for store in stores:
            _begin(connection, project_id, store)
        indexes = [
            row[0]
            for row in connection.execute(
                "SELECT indexdef FROM pg_indexes WHERE tablename = 'chunks'"
                " AND indexname <> 'chunks_pkey' ORDER BY indexname"
            ).fetchall()
        ]
        names = [definition.split()[2] for definition in indexes]
        for name in names:
            connection.execute(f"DROP INDEX {name}".encode())
        _write(url, stores, show)
        connection.execute("SET maintenance_work_mem = '4GB'")
        connection.execute("SET max_parallel_maintenance_workers = 2")
        for name, definition in zip(names, indexes, strict=True):
            show(f"making {name}")
            connection.execute(definition.encode())
        for table in ("chunks", "vector_store_files", "files", "vector_stores"):
            show(f"vacuuming {table}")
            connection.execute(f"VACUUM (ANALYZE) {table}".encode())
        connection.execute("CHECKPOINT")


def _begin(connection: psycopg.Connection[Any], project_id: str, store: Filled) -> None:
    about = {
        "store_id": store.id,
        "project_id": project_id,
        "first": store.first,
        "files": -(-store.chunks // CHUNKS_A_FILE),
        "model": MODEL,
    }
    for insert in _FILES:
        connection.execute(insert, about)
    connection.execute(
        "UPDATE vector_stores SET is_large = %s WHERE id = %s", [store.is_large, store.id]
    )


def _write(url: str, stores: list[Filled], show: Callable[[str], object]) -> None:
    every = sum(store.chunks for store in stores)
    connections: queue.Queue[psycopg.Connection[Any]] = queue.Queue()
    for _ in range(_WRITERS):
        connections.put(_prepared(url))

    def write(store: Filled, start: int) -> int:
        connection = connections.get()
        until = min(start + _CHUNKS_A_STEP, store.chunks)
        about = {"first": store.first, "store_id": store.id, "large": store.is_large}
        steps = {"from": start, "to": until, "a_file": CHUNKS_A_FILE, "words": _WORDS}
        connection.execute(_CHUNKS, {**about, **steps})
        connections.put(connection)
        return until - start

    with ThreadPoolExecutor(_WRITERS) as pool:
        steps = [
            pool.submit(write, store, start)
            for store in stores
            for start in range(0, store.chunks, _CHUNKS_A_STEP)
        ]
        written = 0
        for step in as_completed(steps):
            written += step.result()
            show(f"{written:,}/{every:,} chunks")
    for _ in range(_WRITERS):
        connections.get().close()


def _prepared(url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url, autocommit=True)
    for prepare in (_SESSION, _VECTOR, _TEXT):
        connection.execute(prepare)
    return connection


@dataclass(frozen=True)
class Question:
    text: str
    vector: Vector


def questions(url: str, count: int) -> list[Question]:
    """Eight words and a vector each, as a chunk has them that is in no store."""
    with _prepared(url) as connection:
        found = connection.execute(
            "SELECT pg_temp.text_of(-n, 8), pg_temp.vector_of(-n)::real[]"
            " FROM generate_series(1, %s) AS n",
            [count],
        ).fetchall()
    return [Question(text, array("f", vector)) for text, vector in found]
