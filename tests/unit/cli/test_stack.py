"""What `treadle up` gives its own processes."""

from pathlib import Path

import pytest

from cli.embedded.home import Home
from cli.embedded.stack import Stack
from shared import servers
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
