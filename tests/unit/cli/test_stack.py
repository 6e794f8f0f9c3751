"""What `treadle up` gives its own processes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cli.embedded.home import Home
from cli.embedded.model import (
    CONTEXT_TOKENS,
    EMBEDDING_MODEL,
    MODEL,
    LocalEmbeddings,
    LocalModel,
)
from cli.embedded.stack import Stack, serves_embeddings
from shared import servers
from shared.errors import SettingsError
from shared.settings import Settings


def test_the_workers_metrics_are_on_the_port_after_the_apis(tmp_path: Path) -> None:
    given = {"TREADLE_METRICS_PORT": "9000", "TREADLE_LOG_LEVEL": "INFO"}
    for settings, worker in (
        (Settings(metrics_port=9000), {**given, "TREADLE_METRICS_PORT": "9001"}),
        (Settings(), given),
    ):
        assert Stack(settings, Home(tmp_path), print)._beside(given) == worker


def test_an_api_that_tells_metrics_needs_a_connection_more_for_each_process() -> None:
    settings = Settings(api_processes=3, database_pool=4)
    assert servers.connections_of_api(settings) == 12
    watched = Settings(api_processes=3, database_pool=4, metrics_port=9000)
    assert servers.connections_of_api(watched) == 15


def test_a_bucket_is_handed_on_as_it_is_and_a_directory_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for blobs, handed in (
        ("s3://bucket/files", "s3://bucket/files"),
        ("files", str(tmp_path / "files")),
    ):
        monkeypatch.setenv("TREADLE_BLOBS", blobs)
        stack = Stack(Settings(blobs=blobs), Home(tmp_path), print)
        assert stack.environment()["TREADLE_BLOBS"] == handed


@pytest.mark.parametrize(
    ("settings", "here"),
    [
        (Settings(), True),
        (Settings(local_embeddings=False), False),
        (Settings(model_base_url="http://chat/v1"), False),
        (Settings(model_base_url="http://chat/v1", local_embeddings=True), True),
        (Settings(model_base_url="http://chat/v1", embedding_model="minilm"), False),
        (Settings(embedding_model="minilm", embedding_base_url="http://vectors/v1"), False),
        (Settings(embedding_model="minilm", local_embeddings=False), False),
    ],
)
def test_embeddings_are_made_here_where_no_server_is_named_or_where_it_is_asked_for(
    settings: Settings, here: bool
) -> None:
    assert serves_embeddings(settings) is here


@pytest.mark.parametrize("name", ["embedding_model", "embedding_base_url"])
def test_embeddings_from_here_and_from_elsewhere_at_once_are_refused(
    tmp_path: Path, name: str
) -> None:
    settings = replace(Settings(local_embeddings=True), **{name: "http://vectors/v1"})
    with pytest.raises(SettingsError, match=r"^TREADLE_LOCAL_EMBEDDINGS .+\.$"):
        Stack(settings, Home(tmp_path), print)


def test_the_programs_are_told_where_the_local_models_are_and_what_suits_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _forget_treadle(monkeypatch)
    stack = Stack(Settings(), Home(tmp_path), print)
    stack.local_model = LocalModel(tmp_path / "model.log", port=1)
    stack.local_embeddings = LocalEmbeddings(tmp_path, tmp_path / "embeddings.log")
    told = Settings.from_env(stack.environment())
    assert told.model_base_url == "http://127.0.0.1:1/v1"
    assert told.served_model("gpt-4o") == MODEL
    assert told.context_tokens == CONTEXT_TOKENS
    assert told.search_first
    assert told.embedding_model == EMBEDDING_MODEL
    assert told.embedding_server == (stack.local_embeddings.base_url, "none")


@pytest.mark.parametrize(("given", "first"), [("0", False), ("1", True), ("", True)])
def test_what_the_environment_says_of_searching_first_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, first: bool
) -> None:
    _forget_treadle(monkeypatch)
    monkeypatch.setenv("TREADLE_SEARCH_FIRST", given)
    stack = Stack(Settings.from_env(), Home(tmp_path), print)
    assert not Settings.from_env(stack.environment()).embedding_model
    stack.local_model = LocalModel(tmp_path / "model.log", port=1)
    assert Settings.from_env(stack.environment()).search_first is first


def test_with_a_model_server_nothing_is_said_of_searching_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _forget_treadle(monkeypatch)
    monkeypatch.setenv("TREADLE_MODEL_BASE_URL", "http://chat/v1")
    stack = Stack(Settings.from_env(), Home(tmp_path), print)
    stack.local_embeddings = LocalEmbeddings(tmp_path, tmp_path / "embeddings.log")
    told = Settings.from_env(stack.environment())
    assert (told.search_first, told.model_base_url) == (False, "http://chat/v1")
    assert told.embedding_server[0] == stack.local_embeddings.base_url


def _forget_treadle(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("TREADLE_")]:
        monkeypatch.delenv(name)
