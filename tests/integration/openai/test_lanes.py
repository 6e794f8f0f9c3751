"""The lane that a run waits in, as its creator asked."""

import pytest
from openai import BadRequestError, OpenAI

from shared.db import Database

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
