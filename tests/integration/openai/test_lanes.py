"""The lane that a run waits in, as its creator asked."""

import httpx2
import pytest
from openai import BadRequestError, OpenAI

from shared.db import Database
from tests.model_server import ModelServer
from worker.bell import Bell

BATCH = {"Treadle-Lane": "batch"}


def lanes(database: Database) -> list[str]:
    with database.autocommit() as tx:
        return tx.values("SELECT lane FROM runs ORDER BY sequence")


def test_a_run_is_a_conversation_unless_it_says_that_it_is_one_of_a_batch(
    client: OpenAI, database: Database
) -> None:
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")
    for headers in ({}, BATCH):
        client.beta.threads.create_and_run(assistant_id=assistant.id, extra_headers=headers)
        thread = client.beta.threads.create()
        client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, extra_headers=headers)
    assert lanes(database) == ["conversation", "conversation", "batch", "batch"]


def test_a_lane_that_is_none_is_refused(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")
    with pytest.raises(BadRequestError) as refused:
        client.beta.threads.create_and_run(
            assistant_id=assistant.id, extra_headers={"Treadle-Lane": "fast"}
        )
    assert refused.value.param == "Treadle-Lane"
    assert "'conversation' and 'batch'" in refused.value.message


def test_a_queued_run_says_where_it_stands_in_its_lane(
    client: OpenAI, http: httpx2.Client, worker: Bell, model_server: ModelServer
) -> None:
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")
    made = [
        client.beta.threads.create_and_run(assistant_id=assistant.id, extra_headers=headers)
        for headers in ({}, BATCH, {}, {})
    ]
    answers = [http.get(f"threads/{run.thread_id}/runs/{run.id}") for run in made]
    assert [answer.headers["Treadle-Queue-Position"] for answer in answers] == ["1", "1", "2", "3"]
    assert all(0 <= float(answer.headers["Treadle-Queue-Seconds"]) < 60 for answer in answers)
    worker.answer()
    ended = http.get(f"threads/{made[0].thread_id}/runs/{made[0].id}")
    assert not [name for name in ended.headers if name.lower().startswith("treadle-queue")]


def test_a_run_in_line_behind_another_has_no_position(client: OpenAI, http: httpx2.Client) -> None:
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")
    thread = client.beta.threads.create()
    for _ in range(2):
        run = client.beta.threads.runs.create(
            thread.id,
            assistant_id=assistant.id,
            extra_headers={"Treadle-Busy-Thread": "queue"},
        )
    answer = http.get(f"threads/{thread.id}/runs/{run.id}")
    assert answer.json()["status"] == "queued"
    assert "Treadle-Queue-Position" not in answer.headers
