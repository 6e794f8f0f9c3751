"""Files that come with messages and threads, and vector stores that come with what uses them."""

from typing import Any

import httpx2
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from shared.db import Database
from tests.conftest import Caller
from tests.factories import a_file, a_vector_store, an_assistant
from tests.integration.wire import error_of
from worker.ingestion import Ingestions

WEEK = 7 * 86400


@pytest.fixture
def file_ids(database: Database, caller: Caller) -> list[str]:
    return [a_file(database, caller.project_id, purpose="assistants").id for _ in range(3)]


def attached(*file_ids: str, tool: str = "file_search") -> Any:
    return [{"file_id": file_id, "tools": [{"type": tool}]} for file_id in file_ids]


def asked(*file_ids: str, tool: str = "file_search") -> Any:
    return {"role": "user", "content": "Why?", "attachments": attached(*file_ids, tool=tool)}


def store_of(thing: Any) -> str:
    (store_id,) = thing.tool_resources.file_search.vector_store_ids
    return store_id


def files_of(client: OpenAI, store_id: str) -> list[str]:
    return [file.id for file in client.vector_stores.files.list(store_id, order="asc")]


def stores(http: httpx2.Client) -> list[Any]:
    return http.get("vector_stores").json()["data"]


def test_a_message_with_a_file_to_be_searched_gives_its_thread_a_store(
    client: OpenAI, http: httpx2.Client, file_ids: list[str]
) -> None:
    thread = client.beta.threads.create()
    message = client.beta.threads.messages.create(thread.id, **asked(file_ids[0]))
    assert message.attachments is not None
    assert message.attachments[0].file_id == file_ids[0]
    store_id = store_of(client.beta.threads.retrieve(thread.id))
    assert files_of(client, store_id) == file_ids[:1]
    (store,) = stores(http)
    assert store["expires_after"] == {"anchor": "last_active_at", "days": 7}
    assert store["expires_at"] == store["last_active_at"] + WEEK


def test_a_thread_has_one_store_for_all_of_its_messages(
    client: OpenAI, http: httpx2.Client, file_ids: list[str], database: Database, caller: Caller
) -> None:
    thread = client.beta.threads.create(messages=[asked(file_ids[0]), asked(file_ids[0])])
    client.beta.threads.messages.create(thread.id, **asked(file_ids[1]))
    assistant = an_assistant(database, caller.project_id)
    client.beta.threads.runs.create(
        thread.id, assistant_id=assistant.id, additional_messages=[asked(file_ids[2])]
    )
    assert files_of(client, store_of(client.beta.threads.retrieve(thread.id))) == file_ids
    assert len(stores(http)) == 1


def test_a_store_that_the_thread_was_given_is_filled(
    client: OpenAI, http: httpx2.Client, file_ids: list[str], database: Database, caller: Caller
) -> None:
    store = a_vector_store(database, caller.project_id, name="mine")
    thread = client.beta.threads.create(
        tool_resources={"file_search": {"vector_store_ids": [store.id]}},
        messages=[asked(file_ids[0])],
    )
    client.beta.threads.messages.create(thread.id, **asked(file_ids[1]))
    assert files_of(client, store.id) == file_ids[:2]
    assert [one["expires_after"] for one in stores(http)] == [None]


def test_files_for_other_tools_make_no_store(
    client: OpenAI, http: httpx2.Client, file_ids: list[str]
) -> None:
    thread = client.beta.threads.create(messages=[asked(file_ids[0], tool="code_interpreter")])
    client.beta.threads.messages.create(thread.id, **asked("file-x", tool="code_interpreter"))
    assert stores(http) == []


def test_a_store_is_made_with_the_thread_or_the_assistant_that_uses_it(
    client: OpenAI, http: httpx2.Client, file_ids: list[str]
) -> None:
    new: Any = {
        "file_search": {
            "vector_stores": [
                {
                    "file_ids": file_ids,
                    "metadata": {"a": "b"},
                    "chunking_strategy": {
                        "type": "static",
                        "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 20},
                    },
                }
            ]
        },
        "code_interpreter": {"file_ids": file_ids[:1]},
    }
    thread = client.beta.threads.create(tool_resources=new)
    assistant = client.beta.assistants.create(model="m", tool_resources=new)
    for made, days in ((thread, 7), (assistant, None)):
        store = http.get(f"vector_stores/{store_of(made)}").json()
        assert files_of(client, store["id"]) == file_ids
        assert store["metadata"] == {"a": "b"}
        assert (store["expires_after"] and store["expires_after"]["days"]) == days
        assert made.tool_resources is not None
        assert made.tool_resources.to_dict()["code_interpreter"] == {"file_ids": file_ids[:1]}
    (file, *_) = client.vector_stores.files.list(store_of(thread))
    assert file.chunking_strategy is not None
    assert file.chunking_strategy.to_dict()["static"] == {
        "max_chunk_size_tokens": 200,
        "chunk_overlap_tokens": 20,
    }


def test_nothing_is_left_behind_where_a_file_is_not_there(
    client: OpenAI, http: httpx2.Client, database: Database, file_ids: list[str]
) -> None:
    new: Any = {"file_search": {"vector_stores": [{"file_ids": [file_ids[0], "file-none"]}]}}
    thread = client.beta.threads.create()
    for act in (
        lambda: client.beta.threads.create(tool_resources=new),
        lambda: client.beta.assistants.create(model="m", tool_resources=new),
        lambda: client.beta.threads.create(messages=[asked(*file_ids), asked("file-none")]),
        lambda: client.beta.threads.messages.create(thread.id, **asked("file-none")),
    ):
        with pytest.raises(NotFoundError) as missing:
            act()
        assert missing.value.body["message"] == "No such File object: file-none"  # type: ignore[index]
    assert stores(http) == []
    assert client.beta.threads.messages.list(thread.id).data == []
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM threads") == 1
        assert tx.value("SELECT count(*) FROM assistants") == 0


def test_a_run_makes_no_store(http: httpx2.Client, database: Database, caller: Caller) -> None:
    assistant = an_assistant(database, caller.project_id)
    body = {
        "assistant_id": assistant.id,
        "tool_resources": {"file_search": {"vector_stores": [{}]}},
    }
    error = error_of(http.post("threads/runs", json=body))
    assert error["param"] == "tool_resources.file_search.vector_stores"
    assert error["code"] == "unknown_parameter"


def test_a_thread_whose_store_has_expired_takes_no_more_files(
    client: OpenAI, database: Database, file_ids: list[str]
) -> None:
    thread = client.beta.threads.create(messages=[asked(file_ids[0])])
    with database.autocommit() as tx:
        tx.execute("UPDATE vector_stores SET expires_at = now()")
    with pytest.raises(BadRequestError, match="has expired"):
        client.beta.threads.messages.create(thread.id, **asked(file_ids[1]))
    client.beta.threads.messages.create(thread.id, role="user", content="Why?")


def test_of_a_store_that_has_expired_the_names_of_its_files_stay_and_no_more(
    client: OpenAI, database: Database, ingestions: Ingestions
) -> None:
    store = client.vector_stores.create(
        name="n", expires_after={"anchor": "last_active_at", "days": 1}
    )
    files = [client.files.create(file=b"weft", purpose="assistants").id for _ in range(2)]
    for file_id in files:
        client.vector_stores.files.create(file_id=file_id, vector_store_id=store.id)
    assert ingestions.work_one()
    with database.autocommit() as tx:
        tx.execute("UPDATE vector_stores SET expires_at = now()")
    while ingestions.clear():
        pass
    assert not ingestions.work_one()
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM chunks") == 0
    over = client.vector_stores.retrieve(store.id)
    assert (over.status, over.usage_bytes, over.file_counts.cancelled) == ("expired", 0, 1)
    assert files_of(client, store.id) == files
    with pytest.raises(BadRequestError, match="has expired"):
        client.vector_stores.update(store.id, expires_after=None)
    assert client.vector_stores.update(store.id, name="old").name == "old"
    assert client.vector_stores.delete(store.id).deleted
