"""`python -m tests.bench.searching`: what a search costs in a store of a million chunks.

By words, by vectors and by both, with and without a filter of attributes that leaves a tenth or a
hundredth of the files: in the large store, in one just beyond the limit up to which vectors are compared one
by one, in a small one beside them, and in a small one that is alone in its database. Each search is
the statements that an API or a worker makes, without the model's call. And how many of the ten
nearest the index finds that comparing each finds.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import psycopg

from cli.embedded.postgres import Postgres
from shared.db import Database
from shared.embeddings import Embedding
from shared.schema import migrate
from shared.store import callers, chunks, nearest
from shared.store import filters as filtering
from shared.store.nearest import Place
from tests.bench import passages, report
from tests.bench.passages import CHUNKS_A_FILE, MODEL, Filled, Question
from tests.factories import a_vector_store

_MIDDLE, _SMALL = 30_000, 1_000
_WAYS = {"words": (True, False), "vectors": (False, True), "both": (True, True)}
_FILTERS: dict[str, dict[str, Any] | None] = {
    "": None,
    ", of a tenth": {"type": "eq", "key": "tenth", "value": 3},
    ", of a hundredth": {"type": "eq", "key": "hundredth", "value": 33},
}
_WARM_ROUNDS = 5
_NEAREST = 10


@dataclass(frozen=True)
class Side:
    """A store, and where it is searched."""

    name: str
    database: Database
    project_id: str
    store: Filled

    def search(self, question: Question, way: str, filters: dict[str, Any] | None) -> float:
        """The seconds it took."""
        by_words, by_vectors = _WAYS[way]
        text = question.text if by_words else ""
        near = Embedding(MODEL, question.vector) if by_vectors else None
        began = time.perf_counter()
        with self.database.transaction() as tx:
            chunks.search(tx, self.project_id, [self.store.id], text, near, filters, 10)
        return time.perf_counter() - began

    def found(
        self, question: Question, filters: dict[str, Any] | None, *, exactly: bool
    ) -> set[Place]:
        asked = {"project_id": self.project_id, "store_ids": [self.store.id], "depth": _NEAREST}
        matching = filtering.MATCHES if filters else ""
        asked |= filtering.parameters_of(filters) if filters else {}
        near = Embedding(MODEL, question.vector)
        with self.database.transaction() as tx:
            tx.execute("SET LOCAL statement_timeout = '60s'")
            return {
                *nearest.rank(
                    tx,
                    chunks._SCOPE + matching,
                    asked,
                    near,
                    any_large=not exactly,
                    of_files=chunks._OF_FILES + matching if filters else None,
                )
            }


@contextmanager
def sides(place: Path, count: int, shared_buffers: str) -> Iterator[tuple[str, list[Side]]]:
    """And the URL of the database with the large one."""
    with ExitStack() as stack:
        postgres = Postgres(place / "postgres")
        tuned = {"shared_buffers": shared_buffers, "max_wal_size": "16GB"}
        postgres.settings = {**postgres.settings, **tuned}
        stack.enter_context(postgres)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE small")
        alone = postgres.url.replace("/treadle?", "/small?")
        sizes = [("large", count), ("middle", _MIDDLE), ("small", _SMALL)]
        yield (
            postgres.url,
            [
                *_filled(stack, postgres.url, sizes),
                *_filled(stack, alone, [("small, alone", _SMALL)]),
            ],
        )


def _filled(stack: ExitStack, url: str, sizes: list[tuple[str, int]]) -> Iterator[Side]:
    migrate(url)
    database = stack.enter_context(Database(url, 1))
    with database.transaction() as tx:
        project_id = callers.create(tx, "one")[0].project_id
    stores: list[Filled] = []
    first = 1
    for _, count in sizes:
        stores.append(Filled(a_vector_store(database, project_id).id, first, count))
        first += -(-count // CHUNKS_A_FILE)
    show = report.Progress()
    passages.fill(url, project_id, stores, show)
    show.end()
    for (name, _), store in zip(sizes, stores, strict=True):
        yield Side(name, database, project_id, store)


def measure(asked: list[Question], of: list[Side]) -> dict[str, float]:
    """p50 and p95 in milliseconds."""
    took: dict[str, list[float]] = {}
    show = report.Progress()
    for number, question in enumerate(asked):
        show(f"{number:,}/{len(asked):,} questions")
        for side in of:
            for way in _WAYS:
                for left, filters in _FILTERS.items():
                    seconds = side.search(question, way, filters)
                    if number >= _WARM_ROUNDS:
                        took.setdefault(f"{side.name}: {way}{left}", []).append(seconds * 1000)
    show.end()
    figures: dict[str, float] = {}
    for name, ms in took.items():
        figures[f"{name}, p50 ms"] = median(ms)
        figures[f"{name}, p95 ms"] = quantiles(ms, n=100)[94]
    return figures


def recall(asked: list[Question], side: Side) -> dict[str, float]:
    figures: dict[str, float] = {}
    show = report.Progress()
    for left, filters in _FILTERS.items():
        shares: list[float] = []
        for number, question in enumerate(asked):
            show(f"{side.name}{left}: {number:,}/{len(asked):,} compared one by one")
            exactly = side.found(question, filters, exactly=True)
            indexed = side.found(question, filters, exactly=False)
            shares.append(len(exactly & indexed) / len(exactly))
        figures[f"{side.name}{left}, recall@{_NEAREST}"] = mean(shares)
    show.end()
    return figures


def main(arguments: list[str]) -> int:
    parser = report.options("searching", __doc__)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument(
        "--compared", type=int, default=15, help="questions that recall is taken of"
    )
    parser.add_argument("--shared-buffers", default="2GB", help="of PostgreSQL")
    parser.add_argument("--directory", type=Path, help="where the databases are made, and removed")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="treadle-searching-", dir=asked.directory) as place:
        free, need = shutil.disk_usage(place).free, asked.chunks * passages.BYTES_A_CHUNK
        if free < need:
            parser.error(f"needs {need / 1e9:.1f} GB, and {free / 1e9:.1f} are free")
        began = time.monotonic()
        with sides(Path(place), asked.chunks, asked.shared_buffers) as (url, of):
            figures: dict[str, float] = {"seconds filled": time.monotonic() - began}
            questions = passages.questions(url, asked.rounds + _WARM_ROUNDS)
            began = time.monotonic()
            figures |= measure(questions, of)
            for side in of:
                if side.store.is_large:
                    figures |= recall(questions[: asked.compared], side)
            figures["seconds measured"] = time.monotonic() - began
    return report.write(figures, [], asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
