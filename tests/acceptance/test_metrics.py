"""/metrics of real processes: the figures are what happened, whichever of several processes is
asked, and whichever of them has been killed since."""

import os
import signal
import threading
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.conftest import Stack, free_port, frozen, wait_until
from tests.model_server import ModelServer, fail, say

RUNS = "/v1/threads/<thread_id>/runs"
RUN = "/v1/threads/<thread_id>/runs/<run_id>"


def scraped(port: int) -> dict[str, float]:
    """Each sample by its name and labels: `name{label="value"}`, labels in alphabetical order."""
    answer = httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=20)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f'{name}="{told}"' for name, told in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found
            found[name] = sample.value
    return found


def requests(route: str, method: str, status: str = "2xx") -> str:
    labels = f'method="{method}",route="{route}",status="{status}"'
    return f"treadle_http_request_seconds_count{{{labels}}}"


# After three runs that were answered and one that was refused by the model server.
WORKED = {
    'treadle_runs_ended_total{code="none",status="completed"}': 3,
    'treadle_runs_ended_total{code="invalid_prompt",status="failed"}': 1,
    "treadle_claims_total": 4,
    'treadle_run_queue_seconds_count{lane="conversation"}': 4,
    'treadle_run_seconds_count{lane="conversation"}': 4,
    'treadle_model_seconds_count{model="served"}': 3,
    'treadle_model_seconds_count{model="other"}': 1,
    'treadle_model_tokens_total{kind="prompt",model="served"}': 60,
    'treadle_model_tokens_total{kind="completion",model="other"}': 4,
    'treadle_model_errors_total{kind="refused"}': 1,
    'treadle_model_errors_total{kind="late"}': 0,
    "treadle_runs_held_most": 8,
    "treadle_runs_at_work": 0,
    "treadle_runs_at_work_most": 4,
    "treadle_database_connections_most": 4,
}
SERVED = {
    requests(RUNS, "POST"): 4,
    requests("/v1/assistants", "POST"): 4,
    "treadle_postgresql_up": 1,
    "treadle_workers": 1,
    'treadle_queue_runs{lane="batch"}': 0,
    'treadle_queue_runs{lane="conversation"}': 0,
    'treadle_queue_oldest_seconds{lane="batch"}': 0,
    "treadle_database_connections_most": 8,
}


@pytest.fixture
def api_metrics(stack: Stack, tmp_path: Path) -> int:
    """The port of two API processes that count, which serve when this is done."""
    (tmp_path / "tmp").mkdir()
    port = free_port()
    stack.environment |= {"TREADLE_METRICS_PORT": str(port), "TMPDIR": str(tmp_path / "tmp")}
    stack.environment["TREADLE_API_PROCESSES"] = "2"
    stack.start_api()
    wait_until(lambda: len(stack.processes()) == 2, 20, "both processes")
    return port


def start_worker(stack: Stack) -> int:
    port = free_port()
    stack.start_worker(TREADLE_METRICS_PORT=str(port))
    wait_until(lambda: _answers(f"http://127.0.0.1:{port}/healthz"), 30, "the worker")
    return port


def count_files(tmp_path: Path) -> int:
    return len(list((tmp_path / "tmp").glob("treadle-metrics-*/*.db")))


def test_the_figures_are_what_happened(
    stack: Stack, api_metrics: int, model_server: ModelServer
) -> None:
    stack.environment["TREADLE_MODELS"] = "gpt-4o=served"
    worker = start_worker(stack)
    client = stack.client()
    usage = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
    model_server.script(*[say("Yes.", usage=usage)] * 3, fail(400))
    ends = []
    for model in ("gpt-4o", "gpt-4o", "of my own", "gpt-4o"):
        assistant = client.beta.assistants.create(model=model, instructions="Brief.")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Why?"}])
        run = client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id
        )
        ends.append(run.status)
    assert ends == ["completed"] * 3 + ["failed"]
    wait_until(lambda: scraped(worker)["treadle_runs_held"] == 0, 10, "the last run to be let go")
    found = scraped(worker)
    assert {name: found[name] for name in WORKED} == WORKED
    wait_until(lambda: scraped(worker)["treadle_sweeps_total"] > 0, 20, "a sweep")
    found = scraped(api_metrics)
    assert {name: found[name] for name in SERVED} == SERVED


def test_any_process_tells_what_all_have_counted_and_those_that_were_killed(
    stack: Stack, api_metrics: int, tmp_path: Path
) -> None:
    first, second = stack.processes()
    _ask(stack, 1)
    for asleep, times in ((first, 5), (second, 3)):
        with frozen(asleep):
            _ask(stack, times)
    told = []
    for asleep in (first, second):
        with frozen(asleep):
            told.append(scraped(api_metrics)[requests("/v1/assistants", "GET", "4xx")])
    assert told == [9, 9]
    files = count_files(tmp_path)
    for _ in range(3):
        victim = stack.processes()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(
            lambda gone=victim: gone not in stack.processes() and len(stack.processes()) == 2,
            20,
            "another process",
        )
        _ask(stack, 1)
    for asleep in stack.processes():
        with frozen(asleep):
            _ask(stack, 1)
    assert scraped(api_metrics)[requests("/v1/assistants", "GET", "4xx")] == 14
    assert count_files(tmp_path) == files
    assert scraped(api_metrics)["treadle_database_connections_most"] == 8
    stack.running[0].terminate()
    stack.running[0].wait(20)
    assert list((tmp_path / "tmp").glob("treadle-metrics-*")) == []


def test_who_waits_is_told_and_gone_with_the_process_that_held_it(
    stack: Stack, api_metrics: int
) -> None:
    client = stack.client()
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Brief.")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Why?"}])
    run = client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)
    before = scraped(api_metrics).get(requests(RUN, "GET"), 0)
    ended = threading.Event()

    def poll() -> None:
        path = f"threads/{thread.id}/runs/{run.id}"
        try:
            stack.http(timeout=60).get(path, headers={"Prefer": "wait=25"})
        except httpx2.TransportError:
            ended.set()

    polling = threading.Thread(target=poll)
    polling.start()
    wait_until(lambda: scraped(api_metrics)["treadle_held_polls"] == 1, 10, "the held poll")
    for pid in stack.processes():
        os.kill(pid, signal.SIGKILL)
    assert ended.wait(20)
    polling.join(20)
    wait_until(lambda: len(stack.processes()) == 2, 20, "other processes")
    wait_until(lambda: _answers(f"http://127.0.0.1:{api_metrics}/metrics"), 20, "one that serves")
    found = scraped(api_metrics)
    assert found["treadle_held_polls"] == 0
    assert found.get(requests(RUN, "GET"), 0) == before


def test_each_address_tells_its_own_and_nothing_else(stack: Stack, api_metrics: int) -> None:
    own = stack.base_urls[0].removesuffix("/v1")
    for headers in ({}, {"Host": f"127.0.0.1:{api_metrics}"}):
        assert httpx2.get(f"{own}/metrics", headers=headers).status_code == 404
    for path in ("/v1/assistants", "/healthz", "/docs", "/"):
        assert httpx2.get(f"http://127.0.0.1:{api_metrics}{path}").status_code == 404
    worker = start_worker(stack)
    assert httpx2.get(f"http://127.0.0.1:{worker}/v1/assistants").status_code == 404
    other = stack.start_worker(TREADLE_METRICS_PORT=str(worker))
    assert other.wait(30) != 0
    log = (stack.logs / f"worker-{len(stack.running) - 1}.log").read_text()
    assert f"TREADLE_METRICS_PORT {worker} on 127.0.0.1 cannot be had" in log


def _ask(stack: Stack, times: int) -> None:
    """Each on a connection of its own; refused without a key, so that nothing else happens."""
    for _ in range(times):
        answer = httpx2.get(f"{stack.base_urls[0]}/assistants", timeout=20)
        assert answer.status_code == 401


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False
