"""The list of models, asked through an API process as it is run."""

import time

from openai import OpenAI

from tests.acceptance.conftest import Stack
from tests.model_server import ModelServer, stall


def test_models_are_listed_and_a_silent_server_holds_nobody_up(
    stack: Stack, model_server: ModelServer
) -> None:
    with OpenAI(base_url=stack.start_api(), api_key=stack.secret, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["scripted"]
    model_server.models = stall()
    with OpenAI(base_url=stack.start_api(), api_key=stack.secret, max_retries=0) as client:
        began = time.monotonic()
        assert client.models.list().data == []
        assert time.monotonic() - began < 3
