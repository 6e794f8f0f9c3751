"""/vector_stores/{vector_store_id}/files"""

from typing import Any

from flask import jsonify

from api.auth import project_id
from api.openai import bodies
from api.openai.blueprint import Blueprint
from api.openai.schemas.lists import StoreFilePageQuery, deleted, list_of
from api.openai.schemas.vector_store_files import AddFile, FileContent, SetAttributes, StoreFile
from api.repeats import once
from api.runtime import single, transaction
from shared.ingest_state import IngestStatus
from shared.store import chunks, vector_store_files, vector_stores
from shared.store.pages import PageRequest
from shared.store.vector_store_files import NewStoreFile

blueprint = Blueprint("vector_store_files", "Files in a vector store.", beta=False)

# How soon a client may look again at what goes on.
POLL_MS = "300"


@blueprint.route("/vector_stores/<vector_store_id>/files", methods=["POST"])
@blueprint.arguments(AddFile())
@blueprint.response(200, StoreFile())
def add_file(new: NewStoreFile, vector_store_id: str) -> Any:
    """Put a file into a vector store; a worker reads it."""
    with transaction() as tx:

        def add() -> dict[str, Any]:
            vector_stores.lock_live(tx, project_id(), vector_store_id)
            vector_store_files.add(tx, project_id(), vector_store_id, [new])
            added = vector_store_files.get(tx, project_id(), vector_store_id, new.file_id)
            return bodies.store_file(added)

        return jsonify(once(tx, add))


@blueprint.route("/vector_stores/<vector_store_id>/files", methods=["GET"])
@blueprint.arguments(StoreFilePageQuery(), location="query")
@blueprint.response(200, list_of(StoreFile))
def list_store_files(query: tuple[PageRequest, str | None], vector_store_id: str) -> Any:
    """List the files of a vector store, the newest first."""
    page, status = query
    with single() as tx:
        vector_stores.require(tx, project_id(), vector_store_id)
        return vector_store_files.list_page(tx, project_id(), vector_store_id, page, status)


@blueprint.route("/vector_stores/<vector_store_id>/files/<file_id>", methods=["GET"])
@blueprint.response(200, StoreFile())
def get_store_file(vector_store_id: str, file_id: str) -> Any:
    """Retrieve how far a file is."""
    with single() as tx:
        vector_stores.require(tx, project_id(), vector_store_id)
        file = vector_store_files.get(tx, project_id(), vector_store_id, file_id)
    answer = jsonify(bodies.store_file(file))
    if file.status is IngestStatus.IN_PROGRESS:
        answer.headers["openai-poll-after-ms"] = POLL_MS
    return answer


@blueprint.route("/vector_stores/<vector_store_id>/files/<file_id>", methods=["POST"])
@blueprint.arguments(SetAttributes())
@blueprint.response(200, StoreFile())
def set_file_attributes(attributes: dict[str, Any], vector_store_id: str, file_id: str) -> Any:
    """Set the attributes that a search may ask for."""
    with transaction() as tx:
        vector_stores.require(tx, project_id(), vector_store_id)
        return vector_store_files.set_attributes(
            tx, project_id(), vector_store_id, file_id, attributes
        )


@blueprint.route("/vector_stores/<vector_store_id>/files/<file_id>", methods=["DELETE"])
@blueprint.response(200, deleted("vector_store.file"))
def remove_file(vector_store_id: str, file_id: str) -> Any:
    """Take a file out of a vector store. The file itself stays."""
    with transaction() as tx:
        vector_stores.require(tx, project_id(), vector_store_id)
        vector_store_files.remove(tx, project_id(), vector_store_id, file_id)
    return {"id": file_id}


@blueprint.route("/vector_stores/<vector_store_id>/files/<file_id>/content", methods=["GET"])
@blueprint.response(200, FileContent())
def get_store_file_content(vector_store_id: str, file_id: str) -> Any:
    """Retrieve the text that was read from a file: none before it is completed."""
    with single() as tx:
        vector_stores.require(tx, project_id(), vector_store_id)
        vector_store_files.get(tx, project_id(), vector_store_id, file_id)
        pieces = chunks.of_file(tx, vector_store_id, file_id)
    texts = [piece.text[piece.repeated :] for piece in pieces]
    return {"data": [{"type": "text", "text": text} for text in texts], "has_more": False}
