"""What tools work with: files and vector stores, looked up, and made or filled in passing."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from shared.db import Transaction
from shared.store import files, threads, vector_store_files, vector_stores
from shared.store.messages import NewMessage
from shared.store.vector_store_files import NewStoreFile
from shared.store.vector_stores import NewVectorStore, VectorStore

Resources = dict[str, Any]
Settle = Callable[[Transaction, str, Resources], AbstractContextManager[Resources]]

# Of a store that comes with a thread, without use.
_THREAD_STORE_DAYS = 7


def require_known(tx: Transaction, project_id: str, tool_resources: Resources | None) -> None:
    """Raises NotFound."""
    resources = tool_resources or {}
    for store_id in resources.get("file_search", {}).get("vector_store_ids", ()):
        vector_stores.require(tx, project_id, store_id)
    for file_id in resources.get("code_interpreter", {}).get("file_ids", ()):
        files.get(tx, project_id, file_id)


def create_vector_store(
    tx: Transaction, project_id: str, new: NewVectorStore, contains: Sequence[NewStoreFile] = ()
) -> VectorStore:
    """With these files in it."""
    store_id = vector_stores.create(tx, project_id, new)
    if contains:
        vector_store_files.add(tx, project_id, store_id, contains)
    return vector_stores.get(tx, project_id, store_id)


@contextmanager
def settled(
    tx: Transaction,
    project_id: str,
    asked: Resources,
    messages: Sequence[NewMessage] = (),
    days: int | None = None,
) -> Generator[Resources]:
    """Tool resources as they are stored: what they name exists, and stores that were asked for, or
    that files of the messages need, are made in one transaction with what the block does. `days`
    are those that such a store lives without use."""
    require_known(tx, project_id, asked)
    new = asked.get("file_search", {}).get("vector_stores", ())
    attached = _searched(messages)
    if not new and not attached:
        yield asked
        return
    with tx.atomic():
        resources = asked
        for store, contains in new:
            made = replace(store, expires_after_days=days)
            resources = _with_store(
                resources, create_vector_store(tx, project_id, made, contains).id
            )
        yield _filled(tx, project_id, resources, attached, days)


def of_thread(
    tx: Transaction,
    project_id: str,
    asked: Resources,
    messages: Sequence[NewMessage] = (),
) -> AbstractContextManager[Resources]:
    """As `settled`; a thread's store lives a week without use."""
    return settled(tx, project_id, asked, messages, _THREAD_STORE_DAYS)


@contextmanager
def settled_in(
    tx: Transaction, project_id: str, arguments: Resources, settle: Settle = settled
) -> Generator[Resources]:
    """Of arguments that may have tool resources among them."""
    with settle(tx, project_id, arguments.get("tool_resources", {})) as resources:
        known = {"tool_resources": resources} if "tool_resources" in arguments else {}
        yield {**arguments, **known}


def attach(
    tx: Transaction, project_id: str, thread_id: str, messages: Sequence[NewMessage]
) -> None:
    """What the messages bring to be searched goes into their thread's store, which is made if there
    is none. The thread is locked."""
    attached = _searched(messages)
    if attached:
        thread = threads.get(tx, project_id, thread_id)
        resources = _filled(tx, project_id, thread.tool_resources, attached, _THREAD_STORE_DAYS)
        if resources != thread.tool_resources:
            threads.update(tx, project_id, thread_id, {"tool_resources": resources})


def _searched(messages: Sequence[NewMessage]) -> list[NewStoreFile]:
    return [
        NewStoreFile(file_id=attachment["file_id"])
        for message in messages
        for attachment in message.attachments
        if any(tool["type"] == "file_search" for tool in attachment["tools"])
    ]


def _filled(
    tx: Transaction,
    project_id: str,
    resources: Resources,
    attached: list[NewStoreFile],
    days: int | None,
) -> Resources:
    if not attached:
        return resources
    store_ids = resources.get("file_search", {}).get("vector_store_ids", ())
    if store_ids:
        vector_stores.lock_live(tx, project_id, store_ids[0])
        vector_store_files.add(tx, project_id, store_ids[0], attached)
        return resources
    new = NewVectorStore(metadata={}, expires_after_days=days)
    return _with_store(resources, create_vector_store(tx, project_id, new, attached).id)


def _with_store(resources: Resources, store_id: str) -> Resources:
    return {**resources, "file_search": {"vector_store_ids": [store_id]}}
