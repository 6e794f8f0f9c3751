"""What `treadle up` gives its own processes."""

from pathlib import Path

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
