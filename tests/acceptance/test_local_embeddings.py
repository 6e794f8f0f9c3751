"""The local model of embeddings as `treadle up` starts it, asked as Treadle asks."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.embedded.minilm import FILE
from cli.embedded.model import LocalEmbeddings
from cli.embedded.processes import StartError
from shared.embeddings import MOST_AT_ONCE, Embeddings, Vector
from shared.settings import Settings
from tests.local_models import NO_LIBGOMP, WORKS, install

pytestmark = pytest.mark.xdist_group("local embeddings")  # the tests share one server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEmbeddings]:
    with pytest.MonkeyPatch.context() as patch:
        server = _installed(tmp_path_factory.mktemp("local"), WORKS, patch)
        server.start()
        yield server
        server.stop()


def _installed(place: Path, llama: str, patch: pytest.MonkeyPatch) -> LocalEmbeddings:
    install(place, llama)
    patch.syspath_prepend(str(place))
    patch.setenv("PYTHONPATH", str(place))
    return LocalEmbeddings(place / "models", place / "embeddings.log")


def _of(server: LocalEmbeddings, texts: list[str]) -> list[Vector]:
    settings = Settings(embedding_model="minilm", embedding_base_url=server.base_url)
    with closing(Embeddings(settings)) as embeddings:
        return embeddings.of(texts, 30).vectors


def _near(vector: Vector, *wanted: float) -> bool:
    return all(abs(a - b) < 0.01 for a, b in zip(vector, wanted, strict=False))


def test_as_many_texts_as_treadle_sends_at_once_come_back_in_their_order(
    server: LocalEmbeddings,
) -> None:
    texts = ["cat" if number % 3 else "dog" for number in range(MOST_AT_ONCE)]
    vectors = _of(server, texts)
    assert [_near(vector, 1, 0) for vector in vectors] == [text == "cat" for text in texts]


def test_a_text_longer_than_the_model_reads_has_the_mean_of_its_parts(
    server: LocalEmbeddings,
) -> None:
    long = "cat " * 600 + "dog " * 600
    first, both, last = _of(server, ["cat", long, "dog"])
    assert _near(first, 1, 0)
    assert _near(both, 0.5**0.5, 0.5**0.5)
    assert _near(last, 0, 1)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "😀", "👩\u200d👩\u200d👧 " * 700, "漢字" * 900, "a\0b"]
)
def test_any_text_has_a_vector(server: LocalEmbeddings, text: str) -> None:
    assert len(_of(server, [text])[0]) == 384


def test_a_second_start_finds_what_the_first_made_and_a_kill_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _installed(tmp_path, WORKS, monkeypatch)
    server.start()
    made = tmp_path / "models" / FILE
    before = made.stat()
    os.kill(server.process.pid, signal.SIGKILL)
    server.start()
    try:
        assert _near(_of(server, ["cat"])[0], 1, 0)
        assert made.stat().st_mtime_ns == before.st_mtime_ns
    finally:
        server.stop()


def test_a_model_of_embeddings_that_cannot_run_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _installed(tmp_path, NO_LIBGOMP, monkeypatch)
    with pytest.raises(StartError, match=r"apt-get install libgomp1.* TREADLE_EMBEDDING_BASE_URL"):
        server.start()
    server.weights = "a_package_that_is_not_there"
    with pytest.raises(StartError, match=r"is not installed: run `make setup`"):
        server.wait_ready()
