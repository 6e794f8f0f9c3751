"""What tools work with: files and vector stores, looked up and made."""

from collections.abc import Sequence
from typing import Any

from shared.db import Transaction
from shared.store import files, vector_store_files, vector_stores
from shared.store.vector_store_files import NewStoreFile
from shared.store.vector_stores import NewVectorStore, VectorStore


def require_known(tx: Transaction, project_id: str, tool_resources: dict[str, Any] | None) -> None:
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
