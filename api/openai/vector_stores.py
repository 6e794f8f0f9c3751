"""/vector_stores"""

from collections.abc import Sequence
from typing import Any

from flask import jsonify

from api import resources, searching
from api.auth import project_id
from api.openai import bodies
from api.openai.blueprint import Blueprint
from api.openai.schemas.lists import PageQuery, deleted, list_of
from api.openai.schemas.search import Results, Search
from api.openai.schemas.vector_stores import CreateVectorStore, ModifyVectorStore, VectorStore
from api.repeats import once
from api.runtime import single, transaction
from shared.store import vector_stores
from shared.store.pages import PageRequest
from shared.store.vector_store_files import NewStoreFile
from shared.store.vector_stores import NewVectorStore

blueprint = Blueprint("vector_stores", "Files to be searched together.", beta=False)


@blueprint.route("/vector_stores", methods=["POST"])
@blueprint.arguments(CreateVectorStore())
@blueprint.response(200, VectorStore())
def create_vector_store(new: tuple[NewVectorStore, Sequence[NewStoreFile]]) -> Any:
    """Create a vector store, and put files into it."""
    store, files = new
    with transaction() as tx:

        def create() -> dict[str, Any]:
            made = resources.create_vector_store(tx, project_id(), store, files)
            return bodies.vector_store(made)

        return jsonify(once(tx, create))


@blueprint.route("/vector_stores", methods=["GET"])
@blueprint.arguments(PageQuery(), location="query")
@blueprint.response(200, list_of(VectorStore))
def list_vector_stores(page: PageRequest) -> Any:
    """List vector stores, the newest first."""
    with single() as tx:
        return vector_stores.list_page(tx, project_id(), page)


@blueprint.route("/vector_stores/<vector_store_id>", methods=["GET"])
@blueprint.response(200, VectorStore())
def get_vector_store(vector_store_id: str) -> Any:
    """Retrieve a vector store."""
    with single() as tx:
        return vector_stores.get(tx, project_id(), vector_store_id)


@blueprint.route("/vector_stores/<vector_store_id>", methods=["POST"])
@blueprint.arguments(ModifyVectorStore(partial=True))
@blueprint.response(200, VectorStore())
def modify_vector_store(changes: dict[str, Any], vector_store_id: str) -> Any:
    """Change what is named; the rest stays."""
    with transaction() as tx:
        return vector_stores.update(tx, project_id(), vector_store_id, changes)


@blueprint.route("/vector_stores/<vector_store_id>", methods=["DELETE"])
@blueprint.response(200, deleted("vector_store"))
def delete_vector_store(vector_store_id: str) -> Any:
    """Delete a vector store. Its files stay."""
    with transaction() as tx:
        vector_stores.delete(tx, project_id(), vector_store_id)
    return {"id": vector_store_id}


@blueprint.route("/vector_stores/<vector_store_id>/search", methods=["POST"])
@blueprint.arguments(Search())
@blueprint.response(200, Results())
def search_vector_store(asked: dict[str, Any], vector_store_id: str) -> Any:
    """Find the chunks that answer a question best, by their words and their vectors."""
    found = searching.search(project_id(), vector_store_id, asked)
    return {"search_query": asked["query"], "data": found, "has_more": False}
