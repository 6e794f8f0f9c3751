"""POST /threads/{thread_id}/runs/{run_id}/cancel"""

import threading

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from shared.db import Database
from shared.run_state import TERMINAL, RunStatus
from shared.settings import Settings
from shared.store.runs import Run
from tests.conftest import Caller
from tests.factories import a_run
from tests.model_server import ModelServer, stall
from worker.bell import Bell
from worker.lease import Lease
from worker.sweep import sweep


def status_of(client: OpenAI, run: Run) -> str:
    return client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id).status


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.REQUIRES_ACTION])
def test_a_run_that_nobody_works_on_is_cancelled_at_once(
    client: OpenAI, database: Database, caller: Caller, status: RunStatus
) -> None:
    run = a_run(database, caller.project_id, status=status)
    answer = client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    assert (answer.status, answer.cancelled_at, answer.required_action) == (
        "cancelling",
        None,
        None,
    )
    ended = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert ended.status == "cancelled"
    assert ended.cancelled_at is not None
    for step in client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id):
        assert step.status == "cancelled"
    client.beta.threads.messages.create(run.thread_id, role="user", content="And now?")


def test_a_run_in_its_model_call_is_cut_there(
    client: OpenAI,
    database: Database,
    caller: Caller,
    worker: Bell,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    run = a_run(database, caller.project_id)
    model_server.script(stall())
    working = threading.Thread(target=worker.answer)
    working.start()
    model_server.wait_until_asked()
    assert client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id).status == "cancelling"
    assert status_of(client, run) == "cancelling"
    lease.beat()
    working.join(5)
    assert not working.is_alive()
    assert status_of(client, run) == "cancelled"


def test_a_second_cancel_changes_nothing(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id, status=RunStatus.CANCELLING)
    answer = client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    assert answer.status == "cancelling"
    assert status_of(client, run) == "cancelling"


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_run_that_has_ended_cannot_be_cancelled(
    client: OpenAI, database: Database, caller: Caller, status: RunStatus
) -> None:
    run = a_run(database, caller.project_id, status=status)
    with pytest.raises(BadRequestError, match=f"Cannot cancel run with status '{status}'"):
        client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)


def test_the_sweep_ends_a_cancelled_run_whose_worker_is_lost(
    client: OpenAI, database: Database, caller: Caller, settings: Settings
) -> None:
    run = a_run(database, caller.project_id, status=RunStatus.CANCELLING)
    with database.autocommit() as tx:
        sweep(tx, settings)
    assert status_of(client, run) == "cancelling"
    with database.autocommit() as tx:
        tx.execute("UPDATE workers SET lost_at = now()")
        sweep(tx, settings)
    assert status_of(client, run) == "cancelled"


def test_an_unknown_run_is_not_found(client: OpenAI, database: Database, caller: Caller) -> None:
    run = a_run(database, caller.project_id)
    with pytest.raises(NotFoundError, match="No run found with id 'run_x'"):
        client.beta.threads.runs.cancel("run_x", thread_id=run.thread_id)
