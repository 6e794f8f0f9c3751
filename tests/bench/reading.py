"""`python -m tests.bench.reading`: how fast one worker reads the files of a vector store.

A hundred files of 100 KB, put into a store at once: the seconds until the last is completed, with a
model whose vectors cost nothing and with one that takes 4 ms for each. And the floor below it: the
same texts' vectors asked for alone, by the same client from as many threads.
It ends with 1 if a file was not completed, or chunks are missing.
"""

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from openai import OpenAI

from shared.db import Database
from shared.embeddings import MOST_AT_ONCE, Embeddings
from shared.settings import Settings
from shared.store.vector_store_files import CHUNK_TOKENS, OVERLAP_TOKENS
from tests.bench import report
from tests.bench.report import Progress
from tests.bench.stage import Stage, stage
from worker import chunking
from worker.ingestion import _THREADS

_MODELS = {"0 ms a chunk": "embed", "4 ms a chunk": "embed-4"}
_VOCABULARY = 50_000
_ENDS = (" ", " ", " ", " ", " ", " ", " ", ", ", ". ", ".\n\n")


def main(arguments: list[str]) -> int:
    parser = report.options("reading", __doc__)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--kilobytes", type=int, default=100, help="of each file")
    asked = parser.parse_args(arguments)
    texts = [_text(number, asked.kilobytes * 1000) for number in range(asked.files)]
    cut = [[one.text for one in chunking.cut(text, CHUNK_TOKENS, OVERLAP_TOKENS)] for text in texts]
    count = sum(map(len, cut))
    megabytes = sum(map(len, texts)) / 1e6
    figures: dict[str, float] = {"chunks": count, "MB": megabytes}
    faults: list[str] = []
    for name, model in _MODELS.items():
        with stage(embedding_model=model) as made:
            seconds = {
                "the model alone": _asked_alone(made.settings, cut),
                "read": _read(made, texts),
            }
            if _stored(made) != count:
                faults.append(f"{_stored(made)} chunks were stored, not {count}")
        for of, took in seconds.items():
            figures[f"{name}, {of}: seconds"] = took
            figures[f"{name}, {of}: chunks/s"] = count / took
            figures[f"{name}, {of}: MB/s"] = megabytes / took
        figures[f"{name}: read / the model alone"] = seconds["read"] / seconds["the model alone"]
    return report.write(figures, faults, asked.json)


def _text(seed: int, size: int) -> str:
    """Words as unequal as those of a language, in sentences and paragraphs."""
    chance = random.Random(seed)
    words: list[str] = []
    length = 0
    while length < size:
        word = f"{int(_VOCABULARY ** chance.random()):x}".translate(_LETTERS)
        words.append(word + chance.choice(_ENDS))
        length += len(words[-1])
    return "".join(words)[:size]


_LETTERS = str.maketrans("0123456789", "ghklmnoprt")


def _asked_alone(settings: Settings, cut: list[list[str]]) -> float:
    embeddings = Embeddings(settings)

    def ask(texts: list[str]) -> None:
        for start in range(0, len(texts), MOST_AT_ONCE):
            embeddings.of(texts[start : start + MOST_AT_ONCE], 60.0, of_file=True)

    began = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(ask, cut))
    seconds = time.monotonic() - began
    embeddings.close()
    return seconds


def _read(made: Stage, texts: list[str]) -> float:
    client = OpenAI(base_url=f"http://127.0.0.1:{made.ports[0]}/v1", api_key=made.secrets[0])
    store = client.vector_stores.create(name="read")
    ids = [
        client.files.create(file=(f"{number}.txt", text.encode()), purpose="assistants").id
        for number, text in enumerate(texts)
    ]
    show = Progress()
    began = time.monotonic()
    client.vector_stores.file_batches.create(store.id, file_ids=ids)
    with Database(made.settings.database_url, 1) as database, database.autocommit() as tx:
        while left := tx.value(
            "SELECT count(*) FROM vector_store_files WHERE status = 'in_progress'"
        ):
            show(f"{len(ids) - left}/{len(ids)} files")
            time.sleep(0.05)
    show.end()
    return time.monotonic() - began


def _stored(made: Stage) -> int:
    """Chunks of files that are completed."""
    with Database(made.settings.database_url, 1) as database, database.autocommit() as tx:
        return tx.value(
            "SELECT count(*) FROM chunks JOIN vector_store_files ON sequence = ingestion"
            " WHERE status = 'completed'"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
