"""/models"""

from typing import Any

from api.openai.blueprint import Blueprint
from api.openai.schemas.models import Model, ModelList
from api.runtime import runtime
from shared.errors import NotFound

blueprint = Blueprint("models", "What a run can be asked to use.", beta=False)


@blueprint.route("/models", methods=["GET"])
@blueprint.response(200, ModelList())
def list_models() -> Any:
    """List the model server's models, and the aliases for them."""
    return {"data": runtime().served_models.known()}


@blueprint.route("/models/<path:model>", methods=["GET"])
@blueprint.response(200, Model())
def get_model(model: str) -> Any:
    """Retrieve a model."""
    found = runtime().served_models.find(model)
    if found is None:
        raise NotFound(f"The model '{model}' does not exist", param="model", code="model_not_found")
    return found
