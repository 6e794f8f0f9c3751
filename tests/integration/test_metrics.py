"""What is counted, and what holds for all processes, without processes of their own."""

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import httpx2
import pytest
from flask import Flask
from prometheus_client.core import GaugeMetricFamily, Metric

from api import watch
from api.watch import Standing
from shared.db import Database
from shared.metrics import CODES, REGISTRY
from shared.run_state import TERMINAL, RunStatus
from shared.settings import Settings
from shared.store import model_pauses, workers
from tests.conftest import Caller
from tests.factories import a_run
from worker.execution import Execution
from worker.lease import Lease
from worker.sweep import sweep


def told(settings: Settings) -> dict[str, float]:
    with closing(Standing(settings)) as standing:
        return samples(standing)


def samples(standing: Standing) -> dict[str, float]:
    return {
        ",".join([sample.name, *sample.labels.values()]): sample.value
        for metric in standing.collect()
        for sample in metric.samples
    }


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def routes() -> set[str]:
    return {
        sample.labels["route"]
        for metric in REGISTRY.collect()
        if metric.name == "treadle_http_request_seconds"
        for sample in metric.samples
    }


def test_every_route_is_counted_under_its_template(app: Flask) -> None:
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            client.open(re.sub(r"<[^>]+>", "nothing", rule.rule), method=method)
    assert {rule.rule for rule in app.url_map.iter_rules()} <= routes()


def test_what_a_stranger_sends_makes_no_label_of_its_own(app: Flask) -> None:
    client = app.test_client()
    client.open("/somewhere", method="OTHER")
    before = len(list(_request_samples()))
    for number in range(50):
        client.open(f"/somewhere/{number}", method="OTHER")
        client.open("/healthz", method=f"METHOD{number}")
    assert len(list(_request_samples())) == before
    name = "treadle_http_request_seconds_count"
    assert counted(name, route="none", method="other", status="4xx") >= 101


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_every_end_of_a_run_counts_once(
    database: Database, caller: Caller, status: RunStatus
) -> None:
    code = "server_error" if status is RunStatus.FAILED else "none"
    labels = {"status": status.value, "code": code}
    before = counted("treadle_runs_ended_total", **labels)
    a_run(database, caller.project_id, status=status)
    assert counted("treadle_runs_ended_total", **labels) == before + 1
    assert code in CODES


def test_what_waits_is_told_and_what_stands_in_line_is_not(
    settings: Settings, database: Database, caller: Caller
) -> None:
    waiting = a_run(database, caller.project_id)
    a_run(database, caller.project_id)
    batched = a_run(database, caller.project_id)
    in_line = a_run(database, caller.project_id)
    a_run(database, caller.project_id, status=RunStatus.REQUIRES_ACTION)
    with database.transaction() as tx:
        tx.execute("UPDATE workers SET seen_at = now() - interval '1 hour'")
        workers.register(tx)
        tx.execute(
            "UPDATE runs SET run_after = now() - interval '1 hour' WHERE id = %(id)s",
            {"id": waiting.id},
        )
        tx.execute("UPDATE runs SET run_after = 'infinity' WHERE id = %(id)s", {"id": in_line.id})
        tx.execute("UPDATE runs SET lane = 'batch' WHERE id = %(id)s", {"id": batched.id})
        model_pauses.pause(tx, "gpt-4o", 60)
    found = told(settings)
    assert found["treadle_queue_runs,conversation"] == 2
    assert found["treadle_queue_runs,batch"] == 1
    assert 0 < found["treadle_queue_oldest_seconds,batch"] < 60
    assert 3600 <= found["treadle_queue_oldest_seconds,conversation"] < 3700
    assert found["treadle_paused_models"] == 1
    assert found["treadle_workers"] == 1
    assert found["treadle_bells"] >= 0
    assert "treadle_sweep_age_seconds" not in found
    with database.autocommit() as tx:
        assert workers.take_sweep(tx, 1)
    assert 0 <= told(settings)["treadle_sweep_age_seconds"] < 60


def test_it_is_read_once_for_all_who_ask_within_a_while(
    settings: Settings, database: Database, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Standing(settings)) as standing:
        before = samples(standing)
        a_run(database, caller.project_id)
        assert samples(standing) == before
    monkeypatch.setattr(watch, "_KEPT_SECONDS", 0.0)
    monkeypatch.setattr(watch, "_KEPT_TIMES", 0)
    with closing(Standing(settings)) as standing:
        assert samples(standing)["treadle_queue_runs,conversation"] == 1
        a_run(database, caller.project_id)
        assert samples(standing)["treadle_queue_runs,conversation"] == 2


def test_who_asks_does_not_wait_for_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = GaugeMetricFamily("one", "", value=1), GaugeMetricFamily("two", "", value=2)
    goes_on = threading.Event()

    def read() -> Iterator[Metric]:
        if goes_on.wait(30):
            yield second

    kept = watch.Kept(lambda: [first])
    monkeypatch.setattr(watch, "_KEPT_SECONDS", 0.0)
    monkeypatch.setattr(watch, "_KEPT_TIMES", 0)
    assert kept.told() == [first]
    kept._read = read
    monkeypatch.setattr(watch, "_PATIENCE_SECONDS", 0.01)
    assert kept.told() == [first]
    monkeypatch.setattr(watch, "_PATIENCE_SECONDS", 30.0)
    goes_on.set()
    assert kept.told() == [second]


def test_without_postgresql_and_redis_it_says_so_and_no_more(settings: Settings) -> None:
    away = replace(settings, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    found = told(away)
    assert found.pop("treadle_postgresql_up") == 0
    assert set(found) == {"treadle_bells"}


def test_what_can_be_told_is_described(settings: Settings, database: Database) -> None:
    with database.autocommit() as tx:
        workers.take_sweep(tx, 1)
    with closing(Standing(settings)) as standing:
        described, collected = list(standing.describe()), list(standing.collect())
    assert [one.name for one in collected] == [one.name for one in described]
    assert [one.documentation for one in collected] == [one.documentation for one in described]


def test_a_sweep_counts_what_it_found(
    settings: Settings, database: Database, caller: Caller, lease: Lease
) -> None:
    a_run(database, caller.project_id, life_seconds=0)
    before = counted("treadle_swept_total", found="expired")
    with database.autocommit() as tx:
        sweep(tx, settings)
    assert counted("treadle_swept_total", found="expired") == before + 1


def test_a_held_poll_counts_only_what_it_worked(
    app: Flask, http: httpx2.Client, database: Database, caller: Caller, worker: Execution
) -> None:
    run = a_run(database, caller.project_id)
    path = f"threads/{run.thread_id}/runs/{run.id}"
    labels = {"route": "/v1/threads/<thread_id>/runs/<run_id>", "method": "GET", "status": "2xx"}
    name = "treadle_http_request_seconds_sum"
    before = counted(name, **labels)
    assert http.get(path, headers={"Prefer": "wait=1"}).json()["status"] == "queued"
    assert counted(name, **labels) - before < 1


def _request_samples() -> list[str]:
    text = REGISTRY.collect()
    return [
        str(sample.labels)
        for metric in text
        if metric.name == "treadle_http_request_seconds"
        for sample in metric.samples
    ]
