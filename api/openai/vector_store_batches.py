"""/vector_stores/{vector_store_id}/file_batches"""

from collections.abc import Sequence
from typing import Any

from flask import jsonify

from api.auth import project_id
from api.openai import bodies
from api.openai.blueprint import Blueprint
from api.openai.schemas.lists import StoreFilePageQuery, list_of
from api.openai.schemas.runs import Nothing
from api.openai.schemas.vector_store_files import CreateFileBatch, FileBatch, StoreFile
from api.openai.vector_store_files import POLL_MS
from api.repeats import once
from api.runtime import single, transaction
from shared.store import vector_store_batches, vector_store_files, vector_stores
from shared.store.pages import PageRequest
from shared.store.vector_store_files import NewStoreFile

blueprint = Blueprint(
    "vector_store_file_batches", "Files put into a vector store together.", beta=False
)


@blueprint.route("/vector_stores/<vector_store_id>/file_batches", methods=["POST"])
@blueprint.arguments(CreateFileBatch())
@blueprint.response(200, FileBatch())
def create_file_batch(new: Sequence[NewStoreFile], vector_store_id: str) -> Any:
    """Put files into a vector store: all of them, or none where one cannot be."""
    with transaction() as tx:

        def create() -> dict[str, Any]:
            vector_stores.lock_live(tx, project_id(), vector_store_id)
            made = vector_store_batches.create(tx, project_id(), vector_store_id, new)
            return bodies.file_batch(made)

        return jsonify(once(tx, create))


@blueprint.route("/vector_stores/<vector_store_id>/file_batches/<file_batch_id>", methods=["GET"])
@blueprint.response(200, FileBatch())
def get_file_batch(vector_store_id: str, file_batch_id: str) -> Any:
    """Retrieve how far the files of a batch are."""
    with single() as tx:
        vector_stores.require(tx, project_id(), vector_store_id)
        batch = vector_store_batches.get(tx, project_id(), vector_store_id, file_batch_id)
    answer = jsonify(bodies.file_batch(batch))
    if batch.in_progress:
        answer.headers["openai-poll-after-ms"] = POLL_MS
    return answer


@blueprint.route(
    "/vector_stores/<vector_store_id>/file_batches/<file_batch_id>/cancel", methods=["POST"]
)
@blueprint.arguments(Nothing())
@blueprint.response(200, FileBatch())
def cancel_file_batch(_: dict[str, Any], vector_store_id: str, file_batch_id: str) -> Any:
    """Cancel what is in progress of a batch; the rest stays."""
    with transaction() as tx:
        return vector_store_batches.cancel(tx, project_id(), vector_store_id, file_batch_id)


@blueprint.route(
    "/vector_stores/<vector_store_id>/file_batches/<file_batch_id>/files", methods=["GET"]
)
@blueprint.arguments(StoreFilePageQuery(), location="query")
@blueprint.response(200, list_of(StoreFile))
def list_files_of_batch(
    query: tuple[PageRequest, str | None], vector_store_id: str, file_batch_id: str
) -> Any:
    """List the files of a batch, the newest first."""
    page, status = query
    with single() as tx:
        vector_stores.require(tx, project_id(), vector_store_id)
        batch = vector_store_batches.get(tx, project_id(), vector_store_id, file_batch_id)
        return vector_store_files.list_page(
            tx, project_id(), vector_store_id, page, status, batch.id
        )
