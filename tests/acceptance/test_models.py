"""The list of models, asked through an API process as it is run."""

import time

from tests.acceptance.conftest import Stack
from tests.model_server import ModelServer, stall


def test_models_are_listed_and_a_silent_server_holds_nobody_up(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.start_api()
    assert [model.id for model in stack.client().models.list()] == ["scripted"]
    model_server.models = stall()
    stack.start_api()
    began = time.monotonic()
    assert stack.client(1).models.list().data == []
    assert time.monotonic() - began < 10
