"""Chunks by their vectors: which are nearest to a question's.

Those of small stores are compared one by one, which is as fast there and misses nothing. HNSW makes
writing a chunk several times dearer, so only chunks of large stores are in it: those written since
their store is large, and those before, which workers turn over bit by bit. A search asks for both,
the indexed and the others, so that it finds all whenever it comes.
"""

from dataclasses import dataclass
from typing import Any, LiteralString

from shared.db import Transaction
from shared.embeddings import Embedding, written

# A store that has more of them is large from then on, give or take what is being written.
_EXACT_MOST = 20_000
# Chunks, as many as are written between two looks at how many there are.
_LOOK_EVERY = 64
_COUNT: LiteralString = (
    "(SELECT count(*) FROM (SELECT FROM chunks WHERE vector_store_id = vector_stores.id"
    " AND NOT in_large_store LIMIT %(exact_most)s + 1) AS held)"
)
# As the indexes are (0033_large_stores.sql).
_INDEXED: dict[int, LiteralString] = {
    384: " AND dimensions = 384 AND in_large_store"
    " ORDER BY embedding::halfvec(384) <=> %(vector)s::halfvec(384)",
    768: " AND dimensions = 768 AND in_large_store"
    " ORDER BY embedding::halfvec(768) <=> %(vector)s::halfvec(768)",
    1024: " AND dimensions = 1024 AND in_large_store"
    " ORDER BY embedding::halfvec(1024) <=> %(vector)s::halfvec(1024)",
    1536: " AND dimensions = 1536 AND in_large_store"
    " ORDER BY embedding::halfvec(1536) <=> %(vector)s::halfvec(1536)",
    3072: " AND dimensions = 3072 AND in_large_store"
    " ORDER BY embedding::halfvec(3072) <=> %(vector)s::halfvec(3072)",
}
_COMPARED: LiteralString = (
    " AND dimensions = %(dimensions)s ORDER BY embedding <=> %(vector)s::halfvec"
)
_NEAREST: LiteralString = (
    "SELECT ingestion, number, embedding <=> %(vector)s::halfvec AS distance FROM chunks"
    " JOIN vector_store_files AS files ON files.sequence = ingestion"
    " WHERE embedding_model = %(model)s"
)
_LIMIT: LiteralString = " LIMIT %(depth)s"


@dataclass(frozen=True)
class Place:
    """A chunk's."""

    ingestion: int
    number: int


@dataclass(frozen=True)
class Held:
    """How many chunks some stores have together, counted no further than matters; and whether any
    of them is large."""

    chunks: int
    any_large: bool


def held(tx: Transaction, scope: dict[str, Any]) -> Held:
    """In `scope` are store_ids."""
    found = tx.one(
        Held,
        "SELECT coalesce(sum(CASE WHEN is_large THEN %(exact_most)s + 1 ELSE "
        + _COUNT
        + " END), 0)::integer AS chunks, coalesce(bool_or(is_large), FALSE) AS any_large"
        " FROM vector_stores WHERE id = ANY(%(store_ids)s) AND project_id = %(project_id)s",
        {**scope, "exact_most": _EXACT_MOST},
    )
    assert found is not None
    return found


def enlarge(tx: Transaction, store_id: str, ingestion: int, more: int) -> None:
    """Before so many chunks of an ingestion are written: from now on the store is large if it has
    many. Of small files only some have it looked at. The store's row is locked before any of its
    files', as everywhere."""
    if ingestion % _LOOK_EVERY < more:
        tx.execute(
            "UPDATE vector_stores SET is_large = TRUE WHERE id = %(id)s AND NOT is_large AND "
            + _COUNT
            + " > %(exact_most)s",
            {"id": store_id, "exact_most": _EXACT_MOST},
        )


def turn_over(tx: Transaction, most: int) -> bool:
    """Puts chunks of a large store into its index, so many at most. Whether there were any. Several
    may do so at once: none waits for another, or for who deletes them."""
    return bool(
        tx.execute(
            "WITH written_before AS (SELECT ingestion, number FROM chunks"
            " WHERE NOT in_large_store AND vector_store_id = ("
            "SELECT id FROM vector_stores WHERE is_large AND EXISTS (SELECT FROM chunks"
            " WHERE vector_store_id = vector_stores.id AND NOT in_large_store) LIMIT 1"
            ") LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED)"
            " UPDATE chunks SET in_large_store = TRUE FROM written_before"
            " WHERE chunks.ingestion = written_before.ingestion"
            " AND chunks.number = written_before.number",
            {"most": most},
        )
    )


def rank(
    tx: Transaction,
    condition: LiteralString,
    asked: dict[str, Any],
    embedding: Embedding,
    *,
    any_large: bool,
    of_files: LiteralString | None = None,
) -> list[Place]:
    """The nearest first, as many as asked["depth"]; `condition` says of what, and `of_files` says
    it of files alone where it leaves but some of a store's."""
    few = _few(tx, of_files, asked) if any_large and of_files else None
    if few is not None:
        condition += " AND ingestion = ANY(%(few)s)"
    dimensions = len(embedding.vector)
    given = {
        **asked,
        "few": few,
        "model": embedding.model,
        "dimensions": dimensions,
        "vector": written(embedding.vector),
    }
    indexed = _INDEXED.get(dimensions) if any_large and few is None else None
    nearest = _NEAREST + condition
    if indexed is None:
        return _places(tx, nearest + _COMPARED + _LIMIT, given)
    # In one statement, so that what is turned over meanwhile is found once.
    both = (
        "(" + nearest + " AND NOT in_large_store" + _COMPARED + _LIMIT + ")"
        " UNION ALL (" + nearest + indexed + _LIMIT + ") ORDER BY distance" + _LIMIT
    )
    with tx.atomic():
        # The index goes on until as many are found as fit the rest of the query.
        # Fewer candidates than are wanted make it begin again and again.
        tx.execute("SET LOCAL hnsw.ef_search = 200")
        # They are sorted here.
        tx.execute("SET LOCAL hnsw.iterative_scan = relaxed_order")
        tx.execute("SET LOCAL hnsw.max_scan_tuples = 100000")
        return _places(tx, both, given)


def _few(tx: Transaction, of_files: LiteralString, scope: dict[str, Any]) -> list[int] | None:
    """The ingestions that fit, if they have so few chunks together that comparing each is faster:
    the index would look at all the others before it had found enough."""
    return tx.value(
        "SELECT CASE WHEN count(*) <= %(exact_most)s"
        " THEN coalesce(array_agg(DISTINCT sequence), '{}') END"
        " FROM (SELECT sequence FROM vector_store_files AS files, LATERAL"
        " (SELECT FROM chunks WHERE ingestion = sequence LIMIT %(exact_most)s + 1) AS of_file"
        " WHERE TRUE" + of_files + " LIMIT %(exact_most)s + 1) AS fitting",
        {**scope, "exact_most": _EXACT_MOST},
    )


def _places(tx: Transaction, query: LiteralString, given: dict[str, Any]) -> list[Place]:
    return tx.all(Place, "SELECT ingestion, number FROM (" + query + ") AS near", given)
