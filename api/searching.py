"""Searches of vector stores: questions as vectors, what each finds, and the best of it."""

from typing import Any

from api.runtime import runtime
from shared.db import Transaction
from shared.embeddings import Embedding
from shared.errors import ModelError, Unavailable
from shared.store import chunks, model_pauses, vector_stores
from shared.store.chunks import Found

# A caller waits for it.
_EMBEDDING_SECONDS = 15.0


def search(project_id: str, store_id: str, asked: dict[str, Any]) -> list[Found]:
    """`asked` as the schema loads it. Of what several questions find, each chunk once."""
    model = runtime().embeddings.model
    with runtime().database.autocommit() as tx:
        vector_stores.require_live(tx, project_id, [store_id])
        vector_stores.touch(tx, project_id, [store_id])
        compares = bool(model) and chunks.have_vectors(tx, project_id, [store_id], model)
    questions: list[str] = asked["query"]
    vectors = _embedded(questions) if compares else [None] * len(questions)
    best: dict[tuple[str, str], Found] = {}
    with runtime().database.transaction() as tx:
        for question, vector in zip(questions, vectors, strict=True):
            for found in _found(tx, project_id, store_id, question, vector, asked):
                key = found.file_id, found.text
                if key not in best or best[key].score < found.score:
                    best[key] = found
    least = asked["ranking_options"]["score_threshold"]
    ranked = sorted(best.values(), key=lambda found: -found.score)
    return [found for found in ranked if found.score >= least][: asked["max_num_results"]]


def _found(
    tx: Transaction,
    project_id: str,
    store_id: str,
    question: str,
    embedding: Embedding | None,
    asked: dict[str, Any],
) -> list[Found]:
    return chunks.search(
        tx,
        project_id,
        [store_id],
        question,
        embedding,
        asked.get("filters"),
        asked["max_num_results"],
    )


def _embedded(questions: list[str]) -> list[Embedding]:
    embeddings = runtime().embeddings
    try:
        embedded = embeddings.of(questions, _EMBEDDING_SECONDS)
    except ModelError as error:
        wait = error.retry_after or 0.0
        _leave_alone(wait)
        told = f"The question cannot be searched for now: {error.reason}"
        raise Unavailable(told, retry_after=wait) from error
    _leave_alone(embedded.rest_seconds)
    return [Embedding(embeddings.model, vector) for vector in embedded.vectors]


def _leave_alone(seconds: float) -> None:
    """By the workers that read files."""
    if seconds:
        with runtime().database.autocommit() as tx:
            model_pauses.pause(tx, runtime().embeddings.model, seconds)
