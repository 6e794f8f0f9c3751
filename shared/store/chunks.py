"""Chunks: the pieces of text that a file in a vector store is made of, and which of them a question
finds. Read with their file only: those of one that is gone, or not completed, are nobody's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from shared.db import Transaction
from shared.embeddings import Embedding, Vector, written
from shared.store import filters as filtering
from shared.store import matches, nearest
from shared.store.nearest import Place

_INSERTED_AT_ONCE = 200
# Of each ranking, those that are fused.
_DEPTH = 50
# With reciprocal ranks: how little the first place counts more than the second.
_RANK_SCALE = 60
# Every query says whose and which stores, beside whatever else it asks.
_OF_FILES: LiteralString = (
    " AND files.project_id = %(project_id)s AND files.vector_store_id = ANY(%(store_ids)s)"
    " AND status = 'completed'"
)
_SCOPE: LiteralString = _OF_FILES + " AND chunks.vector_store_id = ANY(%(store_ids)s)"


@dataclass(frozen=True)
class Piece:
    text: str
    repeated: int  # characters at its beginning that the piece before it has too


@dataclass(frozen=True)
class Last:
    """The newest chunk of a file that is not completed, and the model of its vector."""

    number: int
    text: str
    model: str | None


@dataclass(frozen=True)
class Found:
    file_id: str
    filename: str
    score: float  # from 0 to 1
    attributes: dict[str, Any]
    text: str
    store_id: str


def of_file(tx: Transaction, store_id: str, file_id: str) -> list[Piece]:
    """In their order. The store is the caller's."""
    return tx.all(
        Piece,
        "SELECT text, repeated FROM chunks JOIN vector_store_files AS files"
        " ON files.sequence = ingestion WHERE files.vector_store_id = %(vector_store_id)s"
        " AND file_id = %(file_id)s AND status = 'completed' ORDER BY number",
        {"vector_store_id": store_id, "file_id": file_id},
    )


def insert(
    tx: Transaction,
    ingestion: int,
    store_id: str,
    first: int,
    pieces: Sequence[Piece],
    vectors: Sequence[Vector],
) -> None:
    """Numbered from `first` on; `vectors` has one of each, or none at all. What is there stays."""
    nearest.enlarge(tx, store_id, ingestion, len(pieces))
    for start in range(0, len(pieces), _INSERTED_AT_ONCE):
        some = pieces[start : start + _INSERTED_AT_ONCE]
        tx.execute(
            "INSERT INTO chunks (ingestion, number, vector_store_id, text, repeated, embedding,"
            " in_large_store)"
            " SELECT %(ingestion)s, given.number, %(vector_store_id)s, given.text, given.repeated,"
            " given.embedding::halfvec,"
            " coalesce((SELECT is_large FROM vector_stores WHERE id = %(vector_store_id)s), FALSE)"
            " FROM unnest(%(numbers)s::integer[], %(texts)s::text[],"
            " %(repeated)s::integer[], %(embeddings)s::text[])"
            " AS given (number, text, repeated, embedding) ON CONFLICT DO NOTHING",
            {
                "ingestion": ingestion,
                "vector_store_id": store_id,
                "numbers": list(range(first + start, first + start + len(some))),
                "texts": [piece.text for piece in some],
                "repeated": [piece.repeated for piece in some],
                "embeddings": [*map(written, vectors[start : start + len(some)])]
                or [None] * len(some),
            },
        )


def last_of(tx: Transaction, ingestion: int) -> Last | None:
    return tx.one(
        Last,
        "SELECT number, text, embedding_model AS model FROM chunks JOIN vector_store_files"
        " ON sequence = ingestion WHERE ingestion = %(ingestion)s ORDER BY number DESC LIMIT 1",
        {"ingestion": ingestion},
    )


def delete(tx: Transaction, ingestion: int) -> None:
    tx.execute("DELETE FROM chunks WHERE ingestion = %(ingestion)s", {"ingestion": ingestion})


def disown(tx: Transaction, ingestions: Sequence[int]) -> None:
    """They are deleted bit by bit (`clear`)."""
    tx.execute(
        "INSERT INTO unowned_chunks (ingestion) SELECT unnest(%(ingestions)s::bigint[])"
        " ON CONFLICT DO NOTHING",
        {"ingestions": list(ingestions)},
    )


def clear(tx: Transaction, most: int) -> bool:
    """Deletes chunks whose file is no more, so many at most. Whether there were any to look for."""
    ingestions = tx.values(
        "SELECT ingestion FROM unowned_chunks ORDER BY ingestion LIMIT %(most)s"
        " FOR UPDATE SKIP LOCKED",
        {"most": most},
    )
    deleted = tx.execute(
        "DELETE FROM chunks WHERE (ingestion, number) IN (SELECT ingestion, number FROM chunks"
        " WHERE ingestion = ANY(%(ingestions)s) LIMIT %(most)s)",
        {"ingestions": ingestions, "most": most},
    )
    if deleted < most:
        tx.execute(
            "DELETE FROM unowned_chunks WHERE ingestion = ANY(%(ingestions)s)",
            {"ingestions": ingestions},
        )
    return bool(ingestions)


def have_vectors(tx: Transaction, project_id: str, store_ids: Sequence[str], model: str) -> bool:
    """Whether a question's vector by this model would find anything."""
    return bool(
        tx.value(
            "SELECT EXISTS (SELECT FROM vector_store_files WHERE project_id = %(project_id)s"
            " AND vector_store_id = ANY(%(store_ids)s) AND status = 'completed'"
            " AND embedding_model = %(model)s)",
            {"project_id": project_id, "store_ids": list(store_ids), "model": model},
        )
    )


def search(
    tx: Transaction,
    project_id: str,
    store_ids: Sequence[str],
    query_text: str,
    embedding: Embedding | None,
    filters: dict[str, Any] | None,
    most: int,
) -> list[Found]:
    """The best first, of these stores as far as they are the project's. Words and vectors each rank
    what they find; the ranks are fused. `embedding` is compared with vectors of its own model only;
    without one words alone are asked. A score is 1.0 for what is first by all that were asked."""
    scope: dict[str, Any] = {"project_id": project_id, "store_ids": list(store_ids)}
    matching: LiteralString = ""
    if filters:
        scope |= filtering.parameters_of(filters)
        matching = filtering.MATCHES
    condition = _SCOPE + matching
    held = nearest.held(tx, scope)
    asked = {**scope, "depth": max(_DEPTH, most), "held": held.chunks}
    rankings = [matches.rank(tx, condition, asked, query_text, any_large=held.any_large)]
    if embedding is not None:
        of_files = _OF_FILES + matching if filters else None
        near = nearest.rank(
            tx, condition, asked, embedding, any_large=held.any_large, of_files=of_files
        )
        rankings.append(near)
    scores = _fused(rankings)
    best = sorted(scores, key=lambda place: (-scores[place], place))[:most]
    return _read(tx, scope, [(*place, scores[place]) for place in best])


def _fused(rankings: list[list[Place]]) -> dict[tuple[int, int], float]:
    """Reciprocal ranks, which need no scale that words and vectors share."""
    scores: dict[tuple[int, int], float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking):
            key = place.ingestion, place.number
            share = (_RANK_SCALE + 1) / (_RANK_SCALE + 1 + rank) / len(rankings)
            scores[key] = scores.get(key, 0.0) + share
    return scores


def _read(
    tx: Transaction, scope: dict[str, Any], best: list[tuple[int, int, float]]
) -> list[Found]:
    return tx.all(
        Found,
        "SELECT file_id, filename, given.score, attributes, text, files.vector_store_id AS store_id"
        " FROM unnest(%(ingestions)s::bigint[], %(numbers)s::integer[], %(scores)s::float8[])"
        " WITH ORDINALITY AS given (ingestion, number, score, place)"
        " JOIN chunks USING (ingestion, number)"
        " JOIN vector_store_files AS files ON files.sequence = ingestion"
        " JOIN files AS named ON named.id = file_id WHERE TRUE" + _SCOPE + " ORDER BY place",
        {
            **scope,
            "ingestions": [ingestion for ingestion, _, _ in best],
            "numbers": [number for _, number, _ in best],
            "scores": [score for _, _, score in best],
        },
    )
