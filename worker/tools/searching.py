"""The searches of a run: in its assistant's vector store and in its thread's, by the same model's
vectors as theirs, and no more of what is found than the model is to be told."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from shared.db import Transaction
from shared.embeddings import Embedding, Embeddings
from shared.errors import ModelError, NotFound
from shared.store import chunks, model_pauses, threads, vector_stores
from shared.store.chunks import Found
from shared.store.claims import ClaimedRun
from shared.store.history import Said
from shared.store.run_steps import RunStep
from shared.store.runs import Run
from shared.tokens import BYTES_PER_TOKEN, estimate
from worker.model import Answer
from worker.places import away
from worker.tools import file_search
from worker.tools.file_search import MOST_SEARCHES, TOOL, Call

log = logging.getLogger(__name__)

# Carries out what reads from PostgreSQL.
Read = Callable[[Callable[[Transaction], Any]], Any]

_MOST_RESULTS = 20
_MOST_TOKENS = 16_000
# Models of a small context, known by their name only.
_SMALL, _MOST_RESULTS_OF_SMALL, _MOST_TOKENS_OF_SMALL = "gpt-3.5", 5, 4_000
_EMBEDDING_SECONDS = 15.0


@dataclass(frozen=True)
class Stores:
    """What is to be known of a run's vector stores before it begins."""

    expired: str | None = None  # the id of one
    filling: bool = False  # the thread's has files that nobody has read yet


def stores_of(tx: Transaction, run: Run) -> Stores:
    """What was deleted is not missed."""
    expired, filling = None, False
    assistants, threads_ = _stores(tx, run)
    for store_id in [*assistants, *threads_]:
        with suppress(NotFound):
            store = vector_stores.get(tx, run.project_id, store_id)
            expired = store.id if store.is_expired else expired
            filling = filling or (store_id in threads_ and store.in_progress > 0)
    return Stores(expired, filling)


@dataclass(frozen=True)
class Turn:
    """In which is searched. `room` is the prompt's, in tokens; None where it is unknown."""

    run: ClaimedRun
    said: Sequence[Said]
    steps: Sequence[RunStep]
    room: int | None
    read: Read


class FileSearch:
    """One per process."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings

    def unasked(self, turn: Turn) -> Call:
        """By the last question, before the model is asked. Raises ModelError."""
        query = file_search.last_question(turn.said)
        return {**self._search(turn, query, []), "unasked": True}

    def of_answer(self, turn: Turn, answer: Answer) -> dict[str, Call]:
        """By the id of each call in the answer that is one of this tool, what it found; nothing for
        those of an answer that was cut off. Raises ModelError."""
        if not answer.tool_calls or not file_search.is_in(turn.run.tools):
            return {}
        before = file_search.of_steps(turn.steps)
        name = file_search.name_in(turn.run.tools)
        calls = [call for call in answer.tool_calls if call.name == name]
        if len(before) >= MOST_SEARCHES and len(calls) == len(answer.tool_calls):
            raise _too_many()
        searched: dict[str, Call] = {}
        for call in calls:
            query = file_search.query_of(call) or file_search.last_question(turn.said)
            asked = query if answer.finish_reason == "stop" else ""
            before.append({**self._search(turn, asked, before), "query": query})
            searched[call.id] = before[-1]
        return searched

    def _search(self, turn: Turn, query: str, before: Sequence[Call]) -> Call:
        """Nothing for no query, and where the run has searched as often as it may."""
        results: list[dict[str, Any]] = []
        if query and len(before) < MOST_SEARCHES:
            results = self._results(turn, query, before)
        return {
            "query": query,
            "turn": max(len(turn.said), before[-1]["turn"] + 1 if before else 0),
            "ranking_options": _ranking(turn.run),
            "results": results,
        }

    def _results(self, turn: Turn, query: str, before: Sequence[Call]) -> list[dict[str, Any]]:
        most, tokens = _bounds(turn.run)
        if turn.room is not None:
            tokens = min(tokens, turn.room // 2 - sum(_tokens(one["results"]) for one in before))
        least = _ranking(turn.run)["score_threshold"]
        found = [one for one in self._find(turn, query, most) if one.score >= least]
        return within(tokens, found[:most])

    def _find(self, turn: Turn, query: str, most: int) -> list[Found]:
        """The best first. What stands in both stores is found once."""
        run, model = turn.run, self._embeddings.model

        def look(tx: Transaction) -> tuple[list[str], bool]:
            ids = sorted({store_id for ids in _stores(tx, run) for store_id in ids})
            vector_stores.touch(tx, run.project_id, ids)
            return ids, bool(model) and chunks.have_vectors(tx, run.project_id, ids, model)

        ids, compares = turn.read(look)
        embedding = self._embedded(turn, query) if compares else None
        found: list[Found] = turn.read(
            lambda tx: chunks.search(
                tx, run.project_id, ids, query, embedding, None, most * len(ids)
            )
        )
        once: dict[tuple[str, str], Found] = {}
        for one in found:
            once.setdefault((one.file_id, one.text), one)
        return list(once.values())

    def _embedded(self, turn: Turn, query: str) -> Embedding | None:
        """None where the model will not have it: then words alone are looked for."""
        model = self._embeddings.model
        try:
            with away():
                embedded = self._embeddings.of([query], _EMBEDDING_SECONDS)
        except ModelError as error:
            if error.transient:
                raise
            log.warning("question not embedded", extra={"reason": error.reason})
            return None
        if rest := embedded.rest_seconds:
            turn.read(lambda tx: model_pauses.pause(tx, model, rest))
        return Embedding(model, embedded.vectors[0])


def within(tokens: int, found: Sequence[Found]) -> list[dict[str, Any]]:
    """As the wire shows them, as many as fit; of the best as much as fits."""
    results: list[dict[str, Any]] = []
    for one in found:
        text = one.text if results else _cut(one.text, tokens)
        tokens -= estimate(text)
        if not text or tokens < 0:
            break
        results.append(
            {
                "file_id": one.file_id,
                "file_name": one.filename,
                "score": one.score,
                "attributes": one.attributes,
                "content": [{"type": "text", "text": text}],
            }
        )
    return results


def _cut(text: str, tokens: int) -> str:
    return text.encode()[: max(0, tokens) * BYTES_PER_TOKEN].decode(errors="ignore")


def _tokens(results: Sequence[dict[str, Any]]) -> int:
    return sum(estimate(result["content"][0]["text"]) for result in results)


def _bounds(run: Run) -> tuple[int, int]:
    """Results, and their tokens."""
    small = run.model.startswith(_SMALL)
    most = _MOST_RESULTS_OF_SMALL if small else _MOST_RESULTS
    tokens = _MOST_TOKENS_OF_SMALL if small else _MOST_TOKENS
    return _options(run).get("max_num_results") or most, tokens


def _ranking(run: Run) -> dict[str, Any]:
    return _options(run)["ranking_options"]


def _options(run: Run) -> dict[str, Any]:
    return next(tool[TOOL] for tool in run.tools if tool["type"] == TOOL)


def _stores(tx: Transaction, run: Run) -> tuple[list[str], list[str]]:
    """The assistant's and the thread's, which may be gone."""
    of_thread: dict[str, Any] = {}
    with suppress(NotFound):
        of_thread = threads.get(tx, run.project_id, run.thread_id).tool_resources
    return _ids(run.tool_resources), _ids(of_thread)


def _ids(resources: dict[str, Any]) -> list[str]:
    return resources.get(TOOL, {}).get("vector_store_ids", [])


def _too_many() -> ModelError:
    return ModelError(
        f"The model searched more than {MOST_SEARCHES} times in one run.",
        code="server_error",
        transient=False,
    )
