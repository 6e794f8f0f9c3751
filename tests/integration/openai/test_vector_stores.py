"""/vector_stores: stores, the files in them and batches of these, before anybody reads a file."""

from typing import Any

import httpx2
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from shared.db import Database
from shared.ingest_state import NEXT, IngestStatus, before
from shared.store import chunks
from tests.conftest import Caller
from tests.factories import a_file, a_file_batch, a_vector_store
from tests.integration.wire import error_of

COUNTS = {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}
CUT = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}


@pytest.fixture
def file_id(database: Database, caller: Caller) -> str:
    return a_file(database, caller.project_id, purpose="assistants").id


def set_status(database: Database, status: str, *file_ids: str) -> None:
    with database.autocommit() as tx:
        tx.execute(
            "UPDATE vector_store_files SET status = %(status)s, usage_bytes = 21, last_error ="
            """ CASE %(status)s WHEN 'failed' THEN '{"code": "invalid_file", "message": "No."}' END"""
            " ::json WHERE file_id = ANY(%(ids)s)",
            {"status": status, "ids": list(file_ids)},
        )


def counted(database: Database, table: str) -> int:
    with database.autocommit() as tx:
        return tx.value(f"SELECT count(*) FROM {table}")  # noqa: S608 # type: ignore[arg-type]


def test_an_empty_store_is_completed_at_once(client: OpenAI) -> None:
    store = client.vector_stores.create(name="notes", metadata={"a": "b"})
    assert store.to_dict() == {
        "id": store.id,
        "object": "vector_store",
        "created_at": store.created_at,
        "name": "notes",
        "description": None,
        "usage_bytes": 0,
        "file_counts": COUNTS,
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": store.created_at,
        "metadata": {"a": "b"},
    }
    assert client.vector_stores.retrieve(store.id) == store
    assert client.vector_stores.list().data == [store]


def test_a_store_may_have_no_name(http: httpx2.Client) -> None:
    """Recorded null, where the official client expects a string."""
    assert http.post("vector_stores", json={}).json()["name"] is None


def test_a_store_counts_its_files_from_the_beginning(client: OpenAI, file_id: str) -> None:
    store = client.vector_stores.create(name="n", file_ids=[file_id, file_id])
    assert store.status == "in_progress"
    assert store.file_counts.to_dict() == {**COUNTS, "in_progress": 1, "total": 1}
    (file,) = client.vector_stores.files.list(store.id).data
    assert file.to_dict() == {
        "id": file_id,
        "object": "vector_store.file",
        "usage_bytes": 0,
        "created_at": file.created_at,
        "vector_store_id": store.id,
        "status": "in_progress",
        "last_error": None,
        "chunking_strategy": CUT,
        "attributes": {},
    }


def test_only_what_is_named_is_changed(client: OpenAI) -> None:
    store = client.vector_stores.create(
        name="n", metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 3}
    )
    assert store.expires_at == (store.last_active_at or 0) + 3 * 86400
    named = client.vector_stores.update(store.id, name="m")
    assert (named.name, named.metadata, named.expires_at) == ("m", {"a": "b"}, store.expires_at)
    kept = client.vector_stores.update(store.id, expires_after=None, metadata={})
    assert (kept.name, kept.metadata, kept.expires_at, kept.expires_after) == ("m", {}, None, None)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor", "invalid_value"),
        ({"expires_after": {"anchor": "last_active_at", "days": 0}}, "expires_after.days", "integer_below_min_value"),
        ({"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days", "integer_above_max_value"),
        ({"file_ids": ["file-x"] * 501}, "file_ids", "array_above_max_length"),
        ({"file_ids": ["thread_x"]}, "file_ids[0]", "invalid_value"),
        ({"chunking_strategy": {"type": "none"}}, "chunking_strategy.type", "invalid_value"),
        ({"chunking_strategy": {"type": "auto", "static": {}}}, "chunking_strategy.static", "unknown_parameter"),
        ({"chunking_strategy": {"type": "static"}}, "chunking_strategy.static", "missing_required_parameter"),
        ({"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0}}}, "chunking_strategy.static.max_chunk_size_tokens", "integer_below_min_value"),
        ({"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 4097, "chunk_overlap_tokens": 0}}}, "chunking_strategy.static.max_chunk_size_tokens", "integer_above_max_value"),
        ({"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 101, "chunk_overlap_tokens": 51}}}, "chunking_strategy.static.chunk_overlap_tokens", "invalid_value"),
        ({"name": "x" * 257}, "name", "string_above_max_length"),
        ({"name": "a\0b"}, "name", "invalid_value"),
        ({"files": []}, "files", "unknown_parameter"),
    ],
)  # fmt: skip
def test_a_wrong_argument_of_a_store_is_named(
    http: httpx2.Client, body: dict[str, Any], param: str, code: str
) -> None:
    error = error_of(http.post("vector_stores", json=body))
    assert (error["param"], error["code"]) == (param, code)


def test_a_store_that_is_deleted_leaves_its_files_and_no_chunk(
    client: OpenAI, database: Database, caller: Caller, file_id: str
) -> None:
    store = a_vector_store(database, caller.project_id, file_id)
    a_file_batch(database, caller.project_id, store.id, file_id)
    with database.autocommit() as tx:
        tx.execute(
            "INSERT INTO chunks (ingestion, number, vector_store_id, text, repeated)"
            " SELECT sequence, number, vector_store_id, 'x', 0"
            " FROM vector_store_files, generate_series(1, 5) AS number"
        )
    assert client.vector_stores.delete(store.id).to_dict() == {
        "id": store.id,
        "object": "vector_store.deleted",
        "deleted": True,
    }
    with pytest.raises(NotFoundError) as gone:
        client.vector_stores.retrieve(store.id)
    assert gone.value.body["message"] == f"No vector store found with id '{store.id}'."  # type: ignore[index]
    assert client.files.retrieve(file_id).id == file_id
    for left in (3, 1, 0):
        with database.transaction() as tx:
            assert chunks.clear(tx, 2)
        assert counted(database, "chunks") == left
    with database.transaction() as tx:
        assert not chunks.clear(tx, 2)
    for table in ("chunks", "unowned_chunks", "vector_store_file_batches"):
        assert counted(database, table) == 0


def test_a_file_that_is_deleted_is_gone_from_all_stores(
    client: OpenAI, database: Database, caller: Caller, file_id: str
) -> None:
    stores = [a_vector_store(database, caller.project_id, file_id).id for _ in range(2)]
    client.files.delete(file_id)
    for store_id in stores:
        assert client.vector_stores.files.list(store_id).data == []
    assert counted(database, "unowned_chunks") == 2


def test_a_file_is_put_in_looked_at_and_taken_out(client: OpenAI, file_id: str) -> None:
    store = client.vector_stores.create(name="n")
    files = client.vector_stores.files
    added = files.create(
        file_id=file_id,
        vector_store_id=store.id,
        attributes={"year": 2024, "draft": True, "by": "me", "part": 0.5},
        chunking_strategy=SMALL,  # type: ignore[arg-type]
    )
    assert added.attributes == {"year": 2024, "draft": True, "by": "me", "part": 0.5}
    assert added.chunking_strategy.to_dict() == SMALL  # type: ignore[union-attr]
    raw = files.with_raw_response.retrieve(file_id, vector_store_id=store.id)
    assert raw.parse() == added
    assert 0 < int(raw.headers["openai-poll-after-ms"]) <= 1000
    changed = files.update(file_id, vector_store_id=store.id, attributes={"year": 1})
    assert changed.attributes == {"year": 1}
    emptied = files.update(file_id, vector_store_id=store.id, attributes=None)
    assert emptied.attributes == {}
    assert files.content(file_id, vector_store_id=store.id).data == []
    assert files.delete(file_id, vector_store_id=store.id).deleted
    with pytest.raises(NotFoundError) as gone:
        files.retrieve(file_id, vector_store_id=store.id)
    assert gone.value.body["message"] == (  # type: ignore[index]
        f"No file found with id '{file_id}' in vector store '{store.id}'."
    )


@pytest.mark.parametrize(
    ("attributes", "param", "code"),
    [
        ({f"a{n}": 1 for n in range(17)}, "attributes", "object_above_max_properties"),
        ({"a": "x" * 513}, "attributes.a", "string_above_max_length"),
        ({"k" * 65: 1}, "attributes", "string_above_max_length"),
        ({"a": None}, "attributes.a", "invalid_type"),
        ({"a": [1]}, "attributes.a", "invalid_type"),
        ({"a": "\0"}, "attributes.a", "invalid_value"),
        ("a", "attributes", "invalid_type"),
    ],
)
def test_a_wrong_attribute_is_named(
    http: httpx2.Client, file_id: str, attributes: Any, param: str, code: str
) -> None:
    store_id = http.post("vector_stores", json={}).json()["id"]
    body = {"file_id": file_id, "attributes": attributes}
    error = error_of(http.post(f"vector_stores/{store_id}/files", json=body))
    assert (error["param"], error["code"]) == (param, code)


def test_what_was_uploaded_for_something_else_is_refused(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    store_id = http.post("vector_stores", json={}).json()["id"]
    for purpose in ("batch", "fine-tune", "vision", "evals"):
        file_id = a_file(database, caller.project_id, purpose=purpose).id
        answer = http.post(f"vector_stores/{store_id}/files", json={"file_id": file_id})
        error = error_of(answer)
        assert (error["param"], error["code"]) == ("file_id", "invalid_value")
        assert f"'{purpose}'" in error["message"]
    assert counted(database, "vector_store_files") == 0


def test_a_file_that_is_not_there_leaves_no_store_behind(
    http: httpx2.Client, database: Database, file_id: str
) -> None:
    for missing in ("file-" + "0" * 24, "file-'; DROP TABLE", "file-\U0001f600"):
        answer = http.post("vector_stores", json={"file_ids": [file_id, missing]})
        assert error_of(answer, 404)["message"] == f"No such File object: {missing}"
    assert counted(database, "vector_stores") == 0
    assert counted(database, "vector_store_files") == 0


def test_a_file_that_is_put_in_again_stays_and_one_that_ended_badly_begins_anew(
    client: OpenAI, database: Database, file_id: str
) -> None:
    store = client.vector_stores.create(name="n")

    def put() -> Any:
        return client.vector_stores.files.create(file_id=file_id, vector_store_id=store.id)

    def sequence() -> int:
        with database.autocommit() as tx:
            return tx.value("SELECT sequence FROM vector_store_files")

    put()
    first = sequence()
    assert put().status == "in_progress"
    set_status(database, "completed", file_id)
    assert put().status == "completed"
    assert sequence() == first
    for ended in ("failed", "cancelled"):
        set_status(database, ended, file_id)
        before_that = sequence()
        assert put().status == "in_progress"
        assert sequence() > before_that
    recut = client.vector_stores.files.create(
        file_id=file_id,
        vector_store_id=store.id,
        chunking_strategy=SMALL,  # type: ignore[arg-type]
    )
    assert recut.chunking_strategy.to_dict() == SMALL  # type: ignore[union-attr]


def test_files_are_listed_by_status(client: OpenAI, database: Database, caller: Caller) -> None:
    ids = [a_file(database, caller.project_id).id for _ in range(4)]
    store = client.vector_stores.create(name="n", file_ids=ids)
    statuses = ("in_progress", "completed", "failed", "cancelled")
    for file_id, status in zip(ids, statuses, strict=True):
        if status != "in_progress":
            set_status(database, status, file_id)
    for file_id, status in zip(ids, statuses, strict=True):
        (listed,) = client.vector_stores.files.list(store.id, filter=status)  # type: ignore[arg-type]
        assert (listed.id, listed.status) == (file_id, status)
    pages = client.vector_stores.files.list(store.id, limit=3, order="asc")
    assert [file.id for file in pages] == ids
    counts = client.vector_stores.retrieve(store.id).file_counts.to_dict()
    assert counts == {**dict.fromkeys(statuses, 1), "total": 4}
    assert client.vector_stores.retrieve(store.id).usage_bytes == 63


def test_a_batch_puts_in_all_of_its_files_or_none(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    store_id = http.post("vector_stores", json={}).json()["id"]
    path = f"vector_stores/{store_id}/file_batches"
    ids = [a_file(database, caller.project_id).id for _ in range(3)]
    made = http.post(path, json={"file_ids": ids, "attributes": {"a": 1}}).json()
    assert made == {
        "id": made["id"],
        "object": "vector_store.file_batch",
        "created_at": made["created_at"],
        "vector_store_id": store_id,
        "status": "in_progress",
        "file_counts": {**COUNTS, "in_progress": 3, "total": 3},
    }
    listed = http.get(f"{path}/{made['id']}/files", params={"order": "asc"}).json()["data"]
    assert [(file["id"], file["attributes"]) for file in listed] == [(id_, {"a": 1}) for id_ in ids]
    other = a_file(database, caller.project_id).id
    answer = http.post(path, json={"file_ids": [other, "file-none"]})
    assert error_of(answer, 404)["message"] == "No such File object: file-none"
    assert counted(database, "vector_store_file_batches") == 1
    assert counted(database, "vector_store_files") == 3


def test_each_of_the_files_of_a_batch_may_speak_for_itself(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    store_id = http.post("vector_stores", json={}).json()["id"]
    path = f"vector_stores/{store_id}/file_batches"
    ids = [a_file(database, caller.project_id).id for _ in range(2)]
    files = [
        {"file_id": ids[0], "attributes": {"n": 0}, "chunking_strategy": SMALL},
        {"file_id": ids[1]},
    ]
    made = http.post(path, json={"files": files, "attributes": {"n": 9}}).json()
    listed = http.get(f"{path}/{made['id']}/files", params={"order": "asc"}).json()["data"]
    assert [(file["attributes"], file["chunking_strategy"]) for file in listed] == [
        ({"n": 0}, SMALL),
        ({}, CUT),
    ]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "file_ids", "missing_required_parameter"),
        ({"file_ids": []}, "file_ids", "empty_array"),
        ({"file_ids": ["file-x"] * 10_000}, "file_ids", "array_above_max_length"),
        ({"files": [{"file_id": "file-x"}] * 2001}, "files", "array_above_max_length"),
        ({"file_ids": ["file-x"], "files": [{"file_id": "file-x"}]}, "files", "invalid_value"),
        ({"files": [{"attributes": {}}]}, "files[0].file_id", "missing_required_parameter"),
    ],
)
def test_a_wrong_argument_of_a_batch_is_named(
    http: httpx2.Client, body: dict[str, Any], param: str, code: str
) -> None:
    store_id = http.post("vector_stores", json={}).json()["id"]
    error = error_of(http.post(f"vector_stores/{store_id}/file_batches", json=body))
    assert (error["param"], error["code"]) == (param, code)


def test_a_batch_that_is_cancelled_keeps_what_is_completed(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    ids = [a_file(database, caller.project_id).id for _ in range(3)]
    store = a_vector_store(database, caller.project_id)
    batch = a_file_batch(database, caller.project_id, store.id, *ids)
    set_status(database, "completed", ids[0])
    path = f"vector_stores/{store.id}/file_batches/{batch.id}"
    for _ in range(2):
        cancelled = http.post(f"{path}/cancel").json()
        assert cancelled["status"] == "cancelled"
        assert cancelled["file_counts"] == {**COUNTS, "completed": 1, "cancelled": 2, "total": 3}
    assert http.get(f"vector_stores/{store.id}").json()["status"] == "completed"


def test_a_batch_that_has_ended_is_not_cancelled_any_more(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    for status, told in (("completed", "completed"), ("failed", "failed")):
        file_id = a_file(database, caller.project_id).id
        store = a_vector_store(database, caller.project_id)
        batch = a_file_batch(database, caller.project_id, store.id, file_id)
        set_status(database, status, file_id)
        path = f"vector_stores/{store.id}/file_batches/{batch.id}"
        assert http.post(f"{path}/cancel").json()["status"] == told
        assert "openai-poll-after-ms" not in http.get(path).headers


def test_a_file_that_was_there_counts_in_the_batch_that_names_it_again(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    file_id = a_file(database, caller.project_id).id
    store = a_vector_store(database, caller.project_id, file_id)
    set_status(database, "completed", file_id)
    made = http.post(f"vector_stores/{store.id}/file_batches", json={"file_ids": [file_id]}).json()
    assert made["status"] == "completed"
    assert made["file_counts"] == {**COUNTS, "completed": 1, "total": 1}


def test_a_batch_is_found_in_its_own_store_only(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    file_id = a_file(database, caller.project_id).id
    store, other = (a_vector_store(database, caller.project_id) for _ in range(2))
    batch = a_file_batch(database, caller.project_id, store.id, file_id)
    for path in ("", "/files"):
        answer = http.get(f"vector_stores/{other.id}/file_batches/{batch.id}{path}")
        error_of(answer, 404)
    error_of(http.post(f"vector_stores/{other.id}/file_batches/{batch.id}/cancel"), 404)


def test_a_store_that_has_expired_says_so_and_takes_no_files(
    client: OpenAI, database: Database, file_id: str
) -> None:
    store = client.vector_stores.create(
        name="n", expires_after={"anchor": "last_active_at", "days": 1}, file_ids=[file_id]
    )
    with database.autocommit() as tx:
        tx.execute("UPDATE vector_stores SET expires_at = now()")
    assert client.vector_stores.retrieve(store.id).status == "expired"
    assert [file.id for file in client.vector_stores.files.list(store.id)] == [file_id]
    with pytest.raises(BadRequestError) as refused:
        client.vector_stores.files.create(file_id=file_id, vector_store_id=store.id)
    assert refused.value.body["message"] == f"Vector store '{store.id}' has expired."  # type: ignore[index]


def test_the_same_request_with_the_same_key_makes_one_store(http: httpx2.Client) -> None:
    key = {"Idempotency-Key": "k"}
    made = [http.post("vector_stores", json={"name": "n"}, headers=key).json() for _ in range(2)]
    assert made[0] == made[1]
    assert len(http.get("vector_stores").json()["data"]) == 1


def test_tools_may_name_the_projects_own_stores_only(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    store = a_vector_store(database, caller.project_id)
    resources: Any = {"file_search": {"vector_store_ids": [store.id]}}
    thread = client.beta.threads.create(tool_resources=resources)
    assert thread.to_dict()["tool_resources"] == resources
    unknown: Any = {"file_search": {"vector_store_ids": ["vs_none"]}}
    with pytest.raises(NotFoundError):
        client.beta.threads.create(tool_resources=unknown)


def test_vector_stores_need_no_beta_header(http: httpx2.Client) -> None:
    assert http.get("vector_stores").status_code == 200


@pytest.mark.parametrize("status", list(IngestStatus))
def test_only_what_is_in_progress_changes(status: IngestStatus) -> None:
    following = set(IngestStatus) if status is IngestStatus.IN_PROGRESS else set()
    assert NEXT[status] == following
    assert before(status) == ["in_progress"]
