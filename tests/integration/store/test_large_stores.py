"""Stores that grow large: what is in the index of vectors, and that a search finds all meanwhile."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from shared.db import Database, Transaction
from shared.embeddings import Embedding
from shared.settings import Settings
from shared.store import chunks, ingestions, matches, nearest
from shared.store.chunks import Found, Piece
from shared.store.ingestions import Ingestion
from tests.conftest import Caller
from tests.factories import a_file, a_vector_store
from tests.model_server import vector_of
from worker.ingestion import Ingestions
from worker.lease import Lease

MODEL = "minilm"
QUESTION = "the tax is nineteen percent"
# No two as near to the question.
FEW = [f"The tax is {'more ' * number}due." for number in range(5)]
MANY = [f"Nineteen {'treadles ' * (number + 1)}make a loom." for number in range(12)]


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_EXACT_MOST", 8)
    monkeypatch.setattr(nearest, "_LOOK_EVERY", 1)


@pytest.fixture
def claim(database: Database, lease: Lease, caller: Caller) -> Callable[[str], Ingestion]:
    def claim(store_id: str) -> Ingestion:
        """A file that is put into that store and held now."""
        with database.transaction() as tx:
            tx.execute(
                "INSERT INTO vector_store_files (vector_store_id, file_id, project_id,"
                " max_chunk_size_tokens, chunk_overlap_tokens, attributes)"
                " VALUES (%(store_id)s, %(file_id)s, %(project_id)s, 800, 400, '{}')",
                {
                    "store_id": store_id,
                    "file_id": a_file(database, caller.project_id).id,
                    "project_id": caller.project_id,
                },
            )
        with database.transaction() as tx:
            held = ingestions.claim(tx, lease.worker_id, "")
        assert held is not None
        return held

    return claim


@pytest.fixture
def fill(database: Database, claim: Callable[[str], Ingestion]) -> Callable[[str, list[str]], None]:
    def fill(store_id: str, texts: list[str]) -> None:
        """One more file with these chunks."""
        held = claim(store_id)
        with database.transaction() as tx:
            ingestions.complete(tx, held, pieces_of(texts), vectors_of(texts), MODEL, 1)

    return fill


@pytest.fixture
def store_id(database: Database, caller: Caller) -> str:
    return a_vector_store(database, caller.project_id).id


@pytest.fixture
def search(database: Database, caller: Caller) -> Callable[..., list[Found]]:
    def search(*store_ids: str) -> list[Found]:
        """By vectors alone."""
        near = Embedding(MODEL, vector_of(QUESTION))  # type: ignore[arg-type]
        with database.transaction() as tx:
            return chunks.search(tx, caller.project_id, store_ids, "", near, None, 50)

    return search


Claim = Callable[[str], Ingestion]
Fill = Callable[[str, list[str]], None]
Search = Callable[..., list[Found]]


def pieces_of(texts: list[str]) -> list[Piece]:
    return [Piece(text, 0) for text in texts]


def vectors_of(texts: list[str]) -> Any:
    return [vector_of(text) for text in texts]


def turned_over(database: Database, most: int = 100) -> bool:
    with database.autocommit() as tx:
        return nearest.turn_over(tx, most)


def look(database: Database, store_id: str) -> None:
    """As before more is written."""
    with database.autocommit() as tx:
        nearest.enlarge(tx, store_id, 0, 1)


def in_index(database: Database) -> list[bool]:
    with database.autocommit() as tx:
        return tx.values("SELECT in_large_store FROM chunks ORDER BY ingestion, number")


@pytest.mark.usefixtures("few_are_many")
def test_chunks_of_a_small_store_are_in_no_index(
    database: Database, store_id: str, fill: Fill, search: Search
) -> None:
    fill(store_id, FEW)
    assert not turned_over(database)
    assert in_index(database) == [False] * len(FEW)
    assert {found.text for found in search(store_id)} == set(FEW)


@pytest.mark.usefixtures("few_are_many")
def test_a_search_finds_the_same_however_far_a_store_is_turned_over(
    database: Database, store_id: str, fill: Fill, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(nearest, "_EXACT_MOST", 1000)
        fill(store_id, FEW)
        fill(store_id, MANY)
        compared = search(store_id)
        assert not turned_over(database)
    look(database, store_id)
    assert search(store_id) == compared
    assert turned_over(database, 6)
    assert in_index(database).count(True) == 6
    assert search(store_id) == compared
    while turned_over(database, 6):
        assert search(store_id) == compared
    assert all(in_index(database))
    assert search(store_id) == compared


@pytest.mark.usefixtures("few_are_many")
def test_what_is_written_into_a_large_store_is_in_the_index_at_once(
    database: Database, store_id: str, fill: Fill, search: Search
) -> None:
    fill(store_id, MANY)
    fill(store_id, FEW)
    assert in_index(database) == [False] * len(MANY) + [True] * len(FEW)
    assert {found.text for found in search(store_id)} == {*FEW, *MANY}


@pytest.mark.usefixtures("few_are_many")
def test_a_file_that_was_begun_in_a_small_store_and_ends_in_a_large_one_is_found_and_turned_over(
    database: Database, store_id: str, claim: Claim, fill: Fill, search: Search
) -> None:
    begun = claim(store_id)
    with database.transaction() as slow:
        ingestions.complete(slow, begun, pieces_of(FEW), vectors_of(FEW), MODEL, 1)
        fill(store_id, MANY)
        fill(store_id, ["One more."])
        while turned_over(database):
            pass
        assert {found.text for found in search(store_id)} == {*MANY, "One more."}
    assert in_index(database).count(False) == len(FEW)
    assert {found.text for found in search(store_id)} == {*FEW, *MANY, "One more."}
    assert turned_over(database)
    assert all(in_index(database))
    assert {found.text for found in search(store_id)} == {*FEW, *MANY, "One more."}


@pytest.mark.usefixtures("few_are_many")
def test_a_large_and_a_small_store_are_searched_together(
    database: Database, caller: Caller, store_id: str, fill: Fill, search: Search
) -> None:
    small = a_vector_store(database, caller.project_id).id
    fill(store_id, MANY)
    look(database, store_id)
    fill(small, FEW)
    compared = search(store_id, small)
    assert {found.store_id for found in compared} == {store_id, small}
    while turned_over(database):
        pass
    assert in_index(database) == [True] * len(MANY) + [False] * len(FEW)
    assert search(store_id, small) == compared
    assert search(small) == [found for found in search(small) if found.store_id == small]
    assert len(search(small)) == len(FEW)


@pytest.fixture
def other_worker(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    connection = psycopg.connect(settings.database_url)
    yield connection
    connection.close()


@pytest.mark.usefixtures("few_are_many")
def test_workers_turn_over_side_by_side_and_the_work_of_a_killed_one_is_done_by_others(
    database: Database,
    ingestions: Ingestions,
    store_id: str,
    fill: Fill,
    other_worker: psycopg.Connection[Any],
) -> None:
    fill(store_id, MANY)
    look(database, store_id)
    assert nearest.turn_over(Transaction(other_worker), 6)
    assert turned_over(database, 3)
    assert in_index(database).count(True) == 3
    while turned_over(database):
        pass
    assert in_index(database).count(True) == 6
    with database.autocommit() as tx:
        killed = {"pid": other_worker.info.backend_pid}
        assert tx.value("SELECT pg_terminate_backend(%(pid)s, 5000)", killed)
    while ingestions.clear():
        pass
    assert all(in_index(database))


@pytest.mark.usefixtures("few_are_many")
def test_a_large_store_is_searched_by_the_index_and_a_small_one_is_not(
    database: Database, caller: Caller, store_id: str, fill: Fill
) -> None:
    small = a_vector_store(database, caller.project_id).id
    fill(small, FEW)
    fill(store_id, MANY)
    look(database, store_id)
    while turned_over(database):
        pass
    near = Embedding(MODEL, vector_of(QUESTION))  # type: ignore[arg-type]
    for searched, scans in ((small, 0), (store_id, 1)):
        with database.transaction() as tx:
            # Of so few rows sorting them all would be cheaper.
            tx.execute("SET LOCAL enable_sort = off")
            chunks.search(tx, caller.project_id, [searched], "", near, None, 10)
            told = "SELECT pg_stat_get_xact_numscans('chunks_nearest_384'::regclass)"
            assert tx.value(told) == scans


@pytest.mark.usefixtures("few_are_many")
def test_what_a_filter_leaves_of_a_large_store_is_compared_one_by_one_if_it_is_little(
    database: Database, caller: Caller, store_id: str, fill: Fill
) -> None:
    fill(store_id, MANY)
    fill(store_id, FEW)
    while turned_over(database):
        pass
    with database.autocommit() as tx:
        tx.execute(
            "UPDATE vector_store_files SET attributes = jsonb_build_object('of', (SELECT count(*)"
            " FROM chunks WHERE ingestion = sequence)) WHERE vector_store_id = %(id)s",
            {"id": store_id},
        )
    near = Embedding(MODEL, vector_of(QUESTION))  # type: ignore[arg-type]
    for of, texts, scans in ((len(FEW), FEW, 0), (len(MANY), MANY, 1), (77, [], 0)):
        filters = {"type": "eq", "key": "of", "value": of}
        with database.transaction() as tx:
            tx.execute("SET LOCAL enable_sort = off")
            found = chunks.search(tx, caller.project_id, [store_id], "", near, filters, 20)
            assert {one.text for one in found} == set(texts)
            told = "SELECT pg_stat_get_xact_numscans('chunks_nearest_384'::regclass)"
            assert tx.value(told) == scans


def test_of_many_small_files_enough_have_it_looked_at_how_many_chunks_a_store_has(
    database: Database, store_id: str, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "_EXACT_MOST", 4)
    monkeypatch.setattr(nearest, "_LOOK_EVERY", 8)
    for number in range(4 + 8):
        fill(store_id, [f"This is number {number}."])
    assert turned_over(database)


@pytest.fixture
def by_words(
    database: Database, caller: Caller, store_id: str, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[str]]:
    """Searches a large store in which four words are common, each in 30 to 33 chunks."""
    common = {"weft": range(30), "warp": range(15, 46), "shed": range(32), "reed": range(60, 93)}
    texts = [
        f"number{number} {' '.join(word for word in common if number in common[word])}"
        for number in range(100)
    ]
    fill(store_id, texts)
    monkeypatch.setattr(nearest, "_EXACT_MOST", 8)
    monkeypatch.setattr(matches, "_MOST_HITS", 20)
    look(database, store_id)
    with database.autocommit() as tx:
        tx.execute("ANALYZE chunks")

    def by_words(question: str) -> list[str]:
        with database.transaction() as tx:
            found = chunks.search(tx, caller.project_id, [store_id], question, None, None, 50)
        return [one.text for one in found]

    return by_words


def test_words_that_very_many_chunks_have_are_looked_for_together(
    by_words: Callable[[str], list[str]],
) -> None:
    assert {text.split()[0] for text in by_words("weft, warp")} == {
        f"number{number}" for number in range(15, 30)
    }
    assert by_words("weft warp shed number99")[0].startswith("number99")
    assert by_words("weft reed")
    assert all("weft" in text for text in by_words("weft reed"))
    assert by_words("number7") == ["number7 weft shed"]


def test_the_id_of_a_store_is_no_word_of_its_chunks(
    store_id: str, fill: Fill, database: Database, caller: Caller
) -> None:
    fill(store_id, FEW)
    with database.transaction() as tx:
        for asked in (store_id, f" {store_id}", f"' {store_id}'"):
            assert chunks.search(tx, caller.project_id, [store_id], asked, None, None, 9) == []


def test_words_are_looked_for_in_the_index_of_words_and_stores(
    store_id: str, fill: Fill, database: Database, caller: Caller
) -> None:
    fill(store_id, FEW)
    with database.transaction() as tx:
        # Of so few rows looking at each would be cheaper.
        tx.execute("DROP INDEX chunks_in_store")
        tx.execute("ALTER TABLE chunks DROP CONSTRAINT chunks_pkey")
        tx.execute("SET LOCAL enable_seqscan = off")
        assert chunks.search(tx, caller.project_id, [store_id], "tax", None, None, 9)
        assert tx.value("SELECT pg_stat_get_xact_numscans('chunks_by_word_in_store'::regclass)")
