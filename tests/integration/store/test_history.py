"""What a claim knows of its run's thread, and what is read of it."""

import random
import string

import pytest

from api import operations
from api.run_requests import RunRequest
from shared.db import Database
from shared.store import history, messages
from shared.store.claims import ClaimedRun
from shared.store.history import Said
from tests.conftest import Caller
from tests.factories import a_claim, a_message, a_thread, an_answer, an_assistant

A_PAGE = "".join(random.Random(1).choices(string.ascii_letters, k=4000))


def claimed(database: Database, caller: Caller, *texts: str) -> tuple[ClaimedRun, list[Said]]:
    """A run on a thread where that was said, and what is read of it."""
    assistant = an_assistant(database, caller.project_id)
    thread = a_thread(database, caller.project_id, *texts)
    with database.transaction() as tx:
        request = RunRequest(assistant_id=assistant.id)
        run = operations.start_run(tx, caller.project_id, thread.id, request, 600)
        later = a_message("What comes after the run is not for it.")
        messages.create(tx, caller.project_id, thread.id, later)
        return a_claim(tx, run), history.read(tx, thread.id, until=run)


@pytest.mark.parametrize(
    "texts",
    [
        ["Why?"],
        ['"Why?"\n\\ \u2028 \0 🧵', "{}", ""],
        ["a" * 8000],
        [str(number) for number in range(16)],
    ],
    ids=["one", "odd", "long", "many"],
)
def test_a_claim_brings_a_short_thread_along(
    database: Database, caller: Caller, texts: list[str]
) -> None:
    run, read = claimed(database, caller, *texts)
    assert run.history() == read
    assert [said.content[0]["text"]["value"] for said in read] == texts


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [A_PAGE],
        ["a" * 9000],
        ["Why?", A_PAGE, "Why?"],
        [str(number) for number in range(17)],
    ],
    ids=["nothing", "a page", "a page that is stored in little", "a page amid", "one more"],
)
def test_what_is_more_has_to_be_read(database: Database, caller: Caller, texts: list[str]) -> None:
    run, read = claimed(database, caller, *texts)
    assert run.history() is None
    assert [said.content[0]["text"]["value"] for said in read] == texts


def test_what_the_run_said_before_its_worker_was_lost_is_among_it(
    database: Database, caller: Caller
) -> None:
    run, _ = claimed(database, caller, "Why?")
    with database.transaction() as tx:
        message_id, _ = an_answer(tx, run, "Let me see.")
        tx.execute("UPDATE runs SET worker_id = NULL WHERE id = %(id)s", {"id": run.id})
        again = a_claim(tx, run)
        assert again.history() == history.read(tx, run.thread_id, until=run)
    assert [said.run_id for said in again.history() or []] == [None, run.id]
    assert (again.history() or [])[-1].id == message_id
