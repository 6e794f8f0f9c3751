"""`python -m tests.bench.retrieval`: how often a question finds its answer, by words, by vectors and by
both.

The passages are the explanations of functions of Python's own library, and each is asked for by the
one line that sums it up and is no part of it: a question in other words, whose answer is known. With
TREADLE_MODEL_BASE_URL and TREADLE_EMBEDDING_MODEL vectors are measured too; without them words alone.
"""

import importlib
import inspect
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.postgres import Postgres
from cli.embedded.valkey import Valkey
from shared import queue
from shared.db import Database, Transaction
from shared.embeddings import MOST_AT_ONCE, Embedding, Embeddings, Vector
from shared.schema import migrate
from shared.settings import Settings
from shared.store import callers, chunks, ingestions, workers
from shared.store.chunks import Found, Piece
from tests.bench import report
from tests.bench.report import Progress
from tests.factories import a_file, a_vector_store

_MODULES = (
    *("argparse", "ast", "asyncio", "base64", "bisect", "calendar", "codecs", "collections"),
    *("concurrent.futures", "configparser", "contextlib", "copy", "csv", "datetime", "decimal"),
    *("difflib", "dis", "email.message", "enum", "fractions", "functools", "glob", "gzip"),
    *("hashlib", "heapq", "html", "http.client", "imaplib", "inspect", "io", "ipaddress"),
    *("itertools", "json", "locale", "logging", "mailbox", "math", "mimetypes", "operator", "os"),
    *("pathlib", "pickle", "platform", "poplib", "pprint", "queue", "random", "re", "sched"),
    *("secrets", "selectors", "shelve", "shlex", "shutil", "smtplib", "socket", "sqlite3", "ssl"),
    *("statistics", "string", "struct", "subprocess", "tarfile", "tempfile", "textwrap"),
    *("threading", "timeit", "tokenize", "tracemalloc", "types", "unittest", "urllib.parse"),
    *("urllib.request", "uuid", "weakref", "xml.dom.minidom", "xml.etree.ElementTree", "zipfile"),
)
_LEAST_WORDS_ASKED, _LEAST_WORDS = 4, 25
_SECONDS = 60.0


@dataclass(frozen=True)
class Passage:
    question: str
    text: str


def main(arguments: list[str]) -> int:
    parser = report.options("retrieval", __doc__)
    parser.add_argument("--questions", type=int, default=300)
    asked = parser.parse_args(arguments)
    passages = list(_passages())
    with (
        tempfile.TemporaryDirectory() as home,
        Postgres(Path(home) / "postgres") as postgres,
        Valkey(Path(home) / "valkey") as valkey,
    ):
        queue.configure(Settings(redis_url=valkey.url))
        migrate(postgres.url)
        with Database(postgres.url, 2) as database:
            figures = _measured(database, passages, asked.questions)
    return report.write(figures, [], asked.json)


def _passages() -> Iterator[Passage]:
    """Each once, of whatever has a summary, an empty line and more."""
    seen: set[str] = set()
    for name in _MODULES:
        for told in _docstrings(importlib.import_module(name)):
            summary, _, rest = inspect.cleandoc(told).partition("\n\n")
            question = " ".join(summary.split())
            enough = len(question.split()) >= _LEAST_WORDS_ASKED
            if enough and len(rest.split()) >= _LEAST_WORDS and question not in seen:
                seen.add(question)
                yield Passage(question, rest)


def _docstrings(owner: object) -> Iterator[str]:
    for _, one in inspect.getmembers(owner):
        if callable(one) and not inspect.ismodule(one):
            if told := getattr(one, "__doc__", None):
                yield str(told)
            if inspect.isclass(one):
                for _, method in inspect.getmembers(one, inspect.isroutine):
                    if told := getattr(method, "__doc__", None):
                        yield str(told)


def _measured(database: Database, passages: list[Passage], count: int) -> dict[str, float]:
    embeddings = Embeddings(Settings.from_env())
    with database.transaction() as tx:
        key, _ = callers.create(tx, "bench")
    vectors = _embedded(embeddings, [one.text for one in passages])
    store_id = _filled(database, key.project_id, passages, vectors, embeddings.model)
    chosen = random.Random(1).sample(passages, min(count, len(passages)))
    questions = _embedded(embeddings, [one.question for one in chosen])
    figures: dict[str, float] = {"passages": len(passages), "questions": len(chosen)}
    ways = {"words": (True, False), "vectors": (False, True), "both": (True, True)}
    for name, (by_words, by_vectors) in ways.items():
        if by_vectors and not vectors:
            continue
        began = time.perf_counter()
        ranks: list[int] = []
        for number, one in enumerate(chosen):
            text = one.question if by_words else ""
            vector = Embedding(embeddings.model, questions[number]) if by_vectors else None
            with database.transaction() as tx:
                ranks.append(_rank(_found(tx, key.project_id, store_id, text, vector), one))
        figures |= _figures(name, ranks, (time.perf_counter() - began) / len(chosen))
    embeddings.close()
    return figures


def _found(
    tx: Transaction, project_id: str, store_id: str, text: str, vector: Embedding | None
) -> list[Found]:
    return chunks.search(tx, project_id, [store_id], text, vector, None, 20)


def _rank(found: list[Found], wanted: Passage) -> int:
    """From 1; 0 if it is not there."""
    return next((place for place, one in enumerate(found, 1) if one.text == wanted.text), 0)


def _figures(name: str, ranks: list[int], seconds: float) -> dict[str, float]:
    return {
        f"{name}: recall@1": sum(rank == 1 for rank in ranks) / len(ranks),
        f"{name}: recall@5": sum(0 < rank <= 5 for rank in ranks) / len(ranks),
        f"{name}: MRR": sum(1 / rank for rank in ranks if rank) / len(ranks),
        f"{name}: ms a search": seconds * 1000,
    }


def _embedded(embeddings: Embeddings, texts: list[str]) -> list[Vector]:
    if not embeddings.model:
        return []
    progress = Progress()
    vectors: list[Vector] = []
    for start in range(0, len(texts), MOST_AT_ONCE):
        vectors += embeddings.of(texts[start : start + MOST_AT_ONCE], _SECONDS).vectors
        progress(f"{len(vectors)} of {len(texts)} vectors")
    progress.end()
    return vectors


def _filled(
    database: Database,
    project_id: str,
    passages: list[Passage],
    vectors: list[Vector],
    model: str,
) -> str:
    """A store of one file, of which each passage is a chunk."""
    store = a_vector_store(database, project_id, a_file(database, project_id).id)
    with database.transaction() as tx:
        held = ingestions.claim(tx, workers.register(tx), "")
        assert held is not None
        pieces = [Piece(one.text, 0) for one in passages]
        ingestions.complete(tx, held, pieces, vectors, model or None, 0)
    return store.id


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
