"""What all workers ask of one model in a minute, by the settings."""

from dataclasses import replace
from typing import Any

import pytest

from shared.db import Database
from shared.run_state import RunStatus
from shared.settings import Settings
from shared.store import runs
from shared.store.runs import Run
from tests.conftest import Caller, a_worker
from tests.factories import a_run
from tests.integration.worker.test_execution import now
from tests.integration.worker.test_model_limits import end_pauses, pause_of
from tests.model_server import Handler, ModelServer, completion
from worker.lease import Lease


def of_a_thousand_tokens(handler: Handler, body: dict[str, Any]) -> None:
    answer = completion(body, {"content": "One."})
    answer["usage"] = {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000}
    handler.send_json(200, answer)


def statuses(database: Database, made: list[Run]) -> list[RunStatus]:
    return [now(database, run).status for run in made]


def test_runs_beyond_the_requests_of_a_minute_wait_and_are_not_charged_for_it(
    settings: Settings,
    database: Database,
    caller: Caller,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    limited = replace(settings, model_requests_per_minute=2)
    made = [a_run(database, caller.project_id) for _ in range(4)]
    with a_worker(limited, database, lease) as worker:
        worker.answer()
        assert model_server.asked() == 2
        waiting = [now(database, run) for run in made if now(database, run).status != "completed"]
        assert {run.model_failures for run in waiting} == {0}
        assert len(waiting) == 2
        assert pause_of(database) > 0
        end_pauses(database)
        other = a_run(database, caller.project_id, model="another")
        worker.answer()
    assert statuses(database, [other]) == [RunStatus.COMPLETED]
    assert model_server.asked() == 3


def test_names_of_one_served_model_share_its_minute(
    settings: Settings,
    database: Database,
    caller: Caller,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    limited = replace(settings, model_requests_per_minute=1, models={"*": "served"})
    for model in ("one", "two"):
        a_run(database, caller.project_id, model=model)
    with a_worker(limited, database, lease) as worker:
        worker.answer()
    assert model_server.asked() == 1


def test_an_answer_s_tokens_delay_what_comes_next(
    settings: Settings,
    database: Database,
    caller: Caller,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    limited = replace(settings, model_tokens_per_minute=1500)
    made = [a_run(database, caller.project_id) for _ in range(3)]
    model_server.script(of_a_thousand_tokens, of_a_thousand_tokens, of_a_thousand_tokens)
    with a_worker(limited, database, lease) as worker:
        worker.answer()
    # The second prompt still fitted; its answer then went beyond.
    assert statuses(database, made).count(RunStatus.COMPLETED) == 2
    assert model_server.asked() == 2


@pytest.mark.parametrize("limit", ["model_requests_per_minute", "model_tokens_per_minute"])
def test_one_that_alone_is_more_than_a_minute_takes_is_asked_all_the_same(
    settings: Settings,
    database: Database,
    caller: Caller,
    lease: Lease,
    model_server: ModelServer,
    limit: str,
) -> None:
    run = a_run(database, caller.project_id, question="Why? " * 100)
    with a_worker(replace(settings, **{limit: 1}), database, lease) as worker:
        worker.answer()
    assert statuses(database, [run]) == [RunStatus.COMPLETED]
    with database.autocommit() as tx:
        assert runs.count_claimable(tx, 10) == 0
