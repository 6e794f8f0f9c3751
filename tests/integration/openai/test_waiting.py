"""How many held polls and streams a process keeps."""

import httpx2
import pytest
from flask import Flask

from api import waiting
from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller
from tests.factories import a_run, a_thread


def test_where_no_more_can_wait_polls_are_answered_at_once_and_streams_are_put_off(
    http: httpx2.Client, database: Database, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_MOST", 0)
    run = a_run(database, caller.project_id)
    path = f"threads/{run.thread_id}/runs/{run.id}"
    polled = http.get(path, headers={"Prefer": "wait=20"})
    assert polled.json()["status"] == "queued"
    assert int(polled.headers["openai-poll-after-ms"]) >= 250
    thread = a_thread(database, caller.project_id, "Why?").id
    body = {"assistant_id": run.assistant_id, "stream": True}
    for answer in (http.get(f"{path}/events"), http.post(f"threads/{thread}/runs", json=body)):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["error"]["type"] == "server_error"
    assert http.get(f"threads/{thread}/runs").json()["data"] == []


def test_who_waited_leaves_room(
    app: Flask, http: httpx2.Client, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id, status=RunStatus.EXPIRED)
    path = f"threads/{run.thread_id}/runs/{run.id}"
    assert http.get(path, headers={"Prefer": "wait=20"}).status_code == 200
    assert http.get(f"{path}/events").status_code == 200
    assert http.get(f"threads/{run.thread_id}/runs/run_none/events").status_code == 404
    assert app.extensions["treadle"].waiting._number == 0
