"""/batches"""

from typing import Any

from flask import jsonify

from api.auth import caller, project_id
from api.openai import bodies
from api.openai.batching.reading import LARGEST_FILE
from api.openai.blueprint import Blueprint
from api.openai.schemas.batches import Batch, CreateBatch
from api.openai.schemas.lists import BatchPageQuery, list_of
from api.openai.schemas.runs import Nothing
from api.repeats import once
from api.runtime import single, transaction
from shared.errors import Invalid
from shared.store import batch_transitions, batches, files
from shared.store.batches import NewBatch
from shared.store.pages import PageRequest

blueprint = Blueprint("batches", "Many requests in a file, answered in a file.", beta=False)

_LIFE_SECONDS = 24 * 60 * 60
# Of a batch's lines, those that are runs at once. A project that may have only so many runs in the
# queue has room left for others.
_MOST_AT_ONCE = 1000


@blueprint.route("/batches", methods=["POST"])
@blueprint.arguments(CreateBatch())
@blueprint.response(200, Batch())
def create_batch(new: NewBatch) -> Any:
    """Have the lines of a file answered, each as a request of its own."""
    most = caller().queued_runs
    at_once = min(_MOST_AT_ONCE, max(1, most // 2)) if most else _MOST_AT_ONCE
    with transaction() as tx:

        def create() -> dict[str, Any]:
            file = files.keep(tx, project_id(), new.input_file_id)
            if file.purpose != "batch":
                raise Invalid(
                    f"Invalid 'input_file_id': the file was uploaded for '{file.purpose}'."
                    " Expected a file that was uploaded for 'batch'.",
                    param="input_file_id",
                    code="invalid_value",
                )
            if file.size > LARGEST_FILE:
                raise Invalid(
                    f"Invalid 'input_file_id': the file has {file.size} bytes."
                    f" Expected at most {LARGEST_FILE}.",
                    param="input_file_id",
                    code="file_too_large",
                )
            made = batches.create(tx, project_id(), new, _LIFE_SECONDS, at_once)
            return bodies.batch(made)

        return jsonify(once(tx, create))


@blueprint.route("/batches", methods=["GET"])
@blueprint.arguments(BatchPageQuery(), location="query")
@blueprint.response(200, list_of(Batch))
def list_batches(page: PageRequest) -> Any:
    """List batches, the newest first."""
    with single() as tx:
        return batches.list_page(tx, project_id(), page)


@blueprint.route("/batches/<batch_id>", methods=["GET"])
@blueprint.response(200, Batch())
def get_batch(batch_id: str) -> Any:
    """Retrieve a batch."""
    with single() as tx:
        return batches.get(tx, project_id(), batch_id)


@blueprint.route("/batches/<batch_id>/cancel", methods=["POST"])
@blueprint.arguments(Nothing())
@blueprint.response(200, Batch())
def cancel_batch(_: dict[str, Any], batch_id: str) -> Any:
    """Cancel a batch: what is answered by then is in its output file."""
    with transaction() as tx:
        return batch_transitions.cancel(tx, project_id(), batch_id)
