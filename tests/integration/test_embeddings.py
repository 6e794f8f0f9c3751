"""Of which server embeddings are asked, and with which key."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from shared.embeddings import Embeddings
from shared.settings import Settings
from tests.model_server import Handler, ModelServer, embed


@pytest.fixture
def another() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def test_another_server_is_asked_for_embeddings_and_is_not_told_the_model_servers_key(
    model_server: ModelServer, another: ModelServer
) -> None:
    keys: list[str] = []

    def told(handler: Handler, body: dict[str, Any]) -> None:
        keys.append(handler.headers["Authorization"])
        embed(handler, body)

    model_server.embed = another.embed = told
    given = {
        "model_base_url": model_server.base_url,
        "model_api_key": "sesame",
        "embedding_model": "minilm",
    }
    elsewhere = {"embedding_base_url": another.base_url}
    for settings in (given, given | elsewhere, given | elsewhere | {"embedding_api_key": "open"}):
        with closing(Embeddings(Settings(**settings))) as embeddings:
            assert len(embeddings.of(["a", "b"], 5).vectors) == 2
    assert keys == ["Bearer sesame", "Bearer none", "Bearer open"]
    assert (len(model_server.embedded), len(another.embedded)) == (1, 2)
