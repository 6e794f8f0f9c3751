"""What a model server is told of whoever asks it."""

from contextlib import closing
from dataclasses import replace
from typing import Any

from api.served_models import ServedModels
from shared.db import Database
from shared.embeddings import Embeddings
from shared.settings import Settings
from tests.conftest import Caller
from tests.factories import a_run
from tests.model_server import Handler, ModelServer, Reply, echo, embed, list_models
from worker.bell import Bell

OF_THE_MACHINE = {
    f"x-stainless-{what}"
    for what in ("arch", "async", "lang", "os", "package-version", "runtime", "runtime-version")
}


def test_a_model_server_is_told_the_key_and_nothing_of_the_machine(
    worker: Bell,
    settings: Settings,
    database: Database,
    caller: Caller,
    model_server: ModelServer,
) -> None:
    told: list[dict[str, str]] = []

    def noting(reply: Reply) -> Reply:
        def noted(handler: Handler, body: dict[str, Any]) -> None:
            told.append({name.lower(): value for name, value in handler.headers.items()})
            reply(handler, body)

        return noted

    model_server.always(noting(echo))
    model_server.embed = noting(embed)
    model_server.models = noting(list_models("scripted"))
    a_run(database, caller.project_id)
    worker.answer()
    with closing(Embeddings(replace(settings, embedding_model="minilm"))) as embeddings:
        embeddings.of(["a"], 5)
    ServedModels(settings).known()
    assert len(told) == 3
    for headers in told:
        assert headers["authorization"] == f"Bearer {settings.model_api_key}"
        assert headers["user-agent"].startswith("OpenAI/Python ")
        assert not OF_THE_MACHINE & headers.keys()
