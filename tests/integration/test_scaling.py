"""How many workers there should be, by what KEDA asks PostgreSQL."""

from pathlib import Path

import psycopg
import yaml

from shared.db import Database
from shared.run_state import RunStatus
from shared.settings import Settings
from tests.conftest import Caller
from tests.factories import a_run

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "kubernetes" / "components" / "keda" / "scaledobject.yaml"


def test_it_counts_runs_that_are_worked_on_and_runs_that_wait(
    settings: Settings, database: Database, caller: Caller
) -> None:
    [trigger] = yaml.safe_load(FILE.read_text())["spec"]["triggers"]
    for status in RunStatus:
        a_run(database, caller.project_id, status=status)
    a_run(database, caller.project_id)
    with psycopg.connect(settings.database_url) as connection:
        found = connection.execute(trigger["metadata"]["query"].encode()).fetchall()
    # Two are queued; one is worked on, and one whose end was asked for has a worker still.
    assert found == [(4,)]
    assert float(trigger["metadata"]["targetQueryValue"]) < Settings().concurrency
