"""README.md is the catalogue: it names every fault where it belongs, and nothing that is not there."""

import re
from pathlib import Path

from tests.faults import kinds
from tests.faults.fault import FAULTS
from tests.faults.schedule import Schedule

ROOT = Path(__file__).parents[2]
README = (Path(__file__).parent / "README.md").read_text()
ROWS = dict(re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE))


def test_the_catalogue_is_whole() -> None:
    assert list(map(int, ROWS)) == list(range(1, 63))


def test_every_fault_stands_in_its_rows_and_no_other_is_named() -> None:
    assert kinds.__all__
    named = {(int(n), name) for n, row in ROWS.items() for name in re.findall(r'"(.+?)"', row)}
    assert named == {(row, fault.name) for fault in FAULTS for row in fault.rows}


def test_every_test_that_the_catalogue_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w./]+)`", README)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_a_number_means_the_same_schedule_every_time() -> None:
    assert Schedule.of(7, FAULTS, most=9) == Schedule.of(7, FAULTS, most=9)
    assert Schedule.of(7, FAULTS, most=9) != Schedule.of(8, FAULTS, most=9)
