"""/healthz of a worker: its own threads go round, whatever its servers do."""

import time
from typing import Any

from worker.watch import STUCK_SECONDS, application


def asked(path: str, *turned_ago: float) -> tuple[str, bytes]:
    said: list[str] = []

    def start_response(status: str, headers: Any) -> None:
        said.append(status)

    turned = [time.monotonic() - ago for ago in turned_ago]
    body = b"".join(application(lambda: turned)({"PATH_INFO": path}, start_response))
    return said[0], body


def test_a_worker_is_well_while_its_threads_go_round() -> None:
    assert asked("/healthz", 0.0, 1.0) == ("200 OK", b'{"status": "ok"}')


def test_one_thread_that_is_stuck_is_enough_to_say_so() -> None:
    for turned in ((0.0, STUCK_SECONDS + 1), (STUCK_SECONDS + 1, 0.0)):
        assert asked("/healthz", *turned) == ("503 Service Unavailable", b'{"status": "stuck"}')


def test_another_path_is_not_known() -> None:
    assert asked("/v1/assistants", 0.0) == ("404 Not Found", b"")
    assert asked("/metrics", 0.0)[0] == "200 OK"
