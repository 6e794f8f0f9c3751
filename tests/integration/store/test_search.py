"""What a question finds: by words, by vectors, by both; in these stores only, of these files only."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.db import Database
from shared.embeddings import Embedding
from shared.store import chunks, ingestions
from shared.store.chunks import Found, Piece
from tests.conftest import Caller, a_caller
from tests.factories import a_file, a_vector_store
from tests.model_server import vector_of
from worker.lease import Lease

MODEL = "minilm"
TEXTS = {
    "loom.txt": ["The loom has two treadles.", "A shuttle carries the weft."],
    "sky.txt": ["The sky is blue because air scatters short waves."],
    "tax.txt": ["Invoices are due within thirty days.", "The tax is nineteen percent."],
}


def embedded(text: str, model: str = MODEL) -> Embedding:
    return Embedding(model, vector_of(text))  # type: ignore[arg-type]


@pytest.fixture
def fill(database: Database, lease: Lease) -> Callable[..., str]:
    def fill(
        project_id: str,
        texts: dict[str, list[str]] = TEXTS,
        model: str | None = MODEL,
        **attributes: Any,
    ) -> str:
        """A store with these texts, each file with its attributes: its id."""
        names = {a_file(database, project_id, filename=name).id: name for name in texts}
        store_id = a_vector_store(database, project_id, *names).id
        for _ in names:
            with database.transaction() as tx:
                held = ingestions.claim(tx, lease.worker_id, "")
                assert held is not None
                pieces = [Piece(text, 0) for text in texts[held.filename]]
                vectors: Any = [vector_of(piece.text) for piece in pieces] if model else []
                ingestions.complete(tx, held, pieces, vectors, model, 1)
        with database.autocommit() as tx:
            for file_id, name in names.items():
                tx.execute(
                    "UPDATE vector_store_files SET attributes = %(attributes)s::text::jsonb"
                    " WHERE file_id = %(file_id)s",
                    {"file_id": file_id, "attributes": attributes.get(name[:-4], "{}")},
                )
        return store_id

    return fill


Fill = Callable[..., str]


@pytest.fixture
def search(database: Database, caller: Caller) -> Callable[..., list[Found]]:
    def search(
        store_id: str,
        text: str,
        embedding: Embedding | None = None,
        filters: dict[str, Any] | None = None,
        most: int = 10,
    ) -> list[Found]:
        with database.transaction() as tx:
            return chunks.search(tx, caller.project_id, [store_id], text, embedding, filters, most)

    return search


Search = Callable[..., list[Found]]


def test_words_alone_find_what_has_the_rarest_of_them(
    fill: Fill, search: Search, caller: Caller
) -> None:
    store_id = fill(caller.project_id)
    found = search(store_id, "Why is the sky blue?")
    assert found[0].text == TEXTS["sky.txt"][0]
    assert (found[0].filename, found[0].score, found[0].store_id) == ("sky.txt", 1.0, store_id)
    assert [one.filename for one in search(store_id, "treadle")] == ["loom.txt"]
    assert search(store_id, "the of and?") == search(store_id, "") == []
    assert search(store_id, "zebra ' & | ! :* <-> \\ \"") == []


def test_vectors_find_what_is_near_and_words_are_not_needed(
    fill: Fill, search: Search, caller: Caller
) -> None:
    store_id = fill(caller.project_id)
    found = search(store_id, "", embedded("the tax nineteen percent"))
    assert found[0].text == "The tax is nineteen percent."
    assert len(found) == 5
    assert sorted((one.score for one in found), reverse=True) == [one.score for one in found]
    assert all(0 < one.score <= 0.5 for one in found)


def test_what_words_and_vectors_agree_on_is_first_with_a_score_of_one(
    fill: Fill, search: Search, caller: Caller
) -> None:
    store_id = fill(caller.project_id)
    question = "which invoices are due?"
    found = search(store_id, question, embedded(question), most=2)
    assert (found[0].text, found[0].score) == ("Invoices are due within thirty days.", 1.0)
    assert len(found) == 2


def test_vectors_of_another_model_are_not_compared(
    fill: Fill, search: Search, caller: Caller
) -> None:
    store_id = fill(caller.project_id)
    assert search(store_id, "", embedded("tax", model="another")) == []
    wordless = fill(caller.project_id, model=None)
    assert search(wordless, "", embedded("tax")) == []
    assert search(wordless, "tax", embedded("tax"))[0].filename == "tax.txt"


def test_a_vector_of_another_length_finds_nothing(
    fill: Fill, search: Search, caller: Caller
) -> None:
    store_id = fill(caller.project_id)
    assert search(store_id, "", Embedding(MODEL, [1.0, 2.0])) == []  # type: ignore[arg-type]


def test_other_stores_and_other_projects_are_not_searched(
    fill: Fill, search: Search, database: Database, caller: Caller
) -> None:
    other = a_caller(database, "other").project_id
    own, second, theirs = fill(caller.project_id), fill(caller.project_id), fill(other)
    question = "the tax"
    assert {one.store_id for one in search(own, question, embedded(question))} == {own}
    assert search(theirs, question, embedded(question)) == []
    with database.transaction() as tx:
        both = chunks.search(
            tx, caller.project_id, [own, second, theirs], question, embedded(question), None, 50
        )
    assert {one.store_id for one in both} == {own, second}


def test_what_is_not_completed_is_not_found(
    fill: Fill, search: Search, database: Database, caller: Caller
) -> None:
    store_id = fill(caller.project_id)
    with database.autocommit() as tx:
        tx.execute("UPDATE vector_store_files SET status = 'cancelled'")
    assert search(store_id, "tax", embedded("tax")) == []


ATTRIBUTES = {
    "loom": '{"year": 2024, "by": "Ada", "draft": true}',
    "sky": '{"year": 2025.5, "by": "Bo"}',
    "tax": '{"year": "2024", "a.b \\"c\\" $x": "\'; DROP TABLE chunks"}',
}


def compare(kind: str, key: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "key": key, "value": value}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (compare("eq", "year", 2024), "loom"),
        (compare("eq", "year", 2024.0), "loom"),
        (compare("eq", "year", "2024"), "tax"),
        (compare("ne", "year", 2024), "sky tax"),
        (compare("ne", "draft", True), "sky tax"),
        (compare("eq", "draft", True), "loom"),
        (compare("gt", "year", 2024), "sky"),
        (compare("gte", "year", 2024), "loom sky"),
        (compare("lt", "year", 2025.5), "loom"),
        (compare("lte", "year", 2025.5), "loom sky"),
        (compare("gt", "by", "Ada"), "sky"),
        (compare("in", "year", [2024, "2024", 1]), "loom tax"),
        (compare("in", "year", []), ""),
        (compare("nin", "year", [2024, 2025.5]), "tax"),
        (compare("nin", "by", ["Ada"]), "sky tax"),
        (compare("eq", "none", 1), ""),
        (compare("eq", 'a.b "c" $x', "'; DROP TABLE chunks"), "tax"),
        (compare("eq", "year) || (1 == 1", 1), ""),
        (compare("eq", "\U0001f9f6", 1), ""),
        ({"type": "and", "filters": [compare("gte", "year", 2024), compare("eq", "by", "Bo")]}, "sky"),
        ({"type": "or", "filters": [compare("eq", "by", "Bo"), compare("eq", "draft", True)]}, "loom sky"),
        ({"type": "and", "filters": [{"type": "or", "filters": [compare("eq", "by", "Bo"), compare("eq", "by", "Ada")]}, compare("ne", "draft", True)]}, "sky"),
    ],
)  # fmt: skip
def test_only_files_that_fit_the_filters_are_found(
    fill: Fill, search: Search, caller: Caller, filters: dict[str, Any], found: str
) -> None:
    store_id = fill(caller.project_id, **ATTRIBUTES)
    question = "the loom sky tax"
    by_both = search(store_id, question, embedded(question), filters)
    assert {one.filename for one in by_both} == {f"{name}.txt" for name in found.split()}
