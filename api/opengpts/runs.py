"""/runs"""

from typing import Any

from api.opengpts import configuration, operations, schemas, streams
from api.opengpts.blueprint import Blueprint
from api.opengpts.errors import reply
from api.opengpts.identity import owner
from api.opengpts.schemas import CreateRun, GivenRun
from api.runtime import runtime, transaction
from shared.store import history

blueprint = Blueprint("runs")


@blueprint.route("/runs", methods=["POST"])
@blueprint.arguments(CreateRun())
def create_run(given: GivenRun) -> Any:
    """The answer appears in the thread; what came of the run is not told here."""
    user, life = owner(), runtime().settings.run_seconds
    with transaction() as tx:
        operations.start_run(tx, user, given, life)
    return reply({"status": "ok"})


@blueprint.route("/runs/stream", methods=["POST"])
@blueprint.arguments(CreateRun())
def stream_run(given: GivenRun) -> Any:
    user, life = owner(), runtime().settings.run_seconds

    def begin(run_id: str) -> streams.Beginning:
        with transaction() as tx:
            run = operations.start_run(tx, user, given, life, run_id)
            return run, history.read(tx, run.thread_id)

    return streams.respond(begin)


@blueprint.route("/runs/input_schema", methods=["GET"])
def input_schema() -> Any:
    return reply(schemas.described("Input"))


@blueprint.route("/runs/output_schema", methods=["GET"])
def output_schema() -> Any:
    return reply(schemas.described("Output"))


@blueprint.route("/runs/config_schema", methods=["GET"])
def config_schema() -> Any:
    return reply(configuration.schema())
