"""What is written can be read back, up to where it is torn."""

from pathlib import Path

import pytest

from cli.ask.answers import Answer, Failure
from cli.ask.output import Output

ANSWERS = [
    Answer(
        custom_id="a", line=1, status="completed", answer='Two\r\nlines, "quoted"; ü', run_id="r"
    ),
    Answer(custom_id=None, line=3, status="not_asked", error=Failure("bad_line", "No\nJSON.")),
    Answer(custom_id='b"', line=4, status="completed", answer="", metadata={"shelf": "7,8"}),
]


@pytest.fixture(params=["a.jsonl", "a.csv"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    output = Output(path, 4)
    assert output.read() == 0
    for answer in ANSWERS:
        output.append(answer)
    output.close()
    return path


def read(path: Path, last_line: int = 4) -> tuple[list[int], int]:
    """Which lines are answered, and how many bytes were cut off."""
    output = Output(path, last_line)
    torn = output.read()
    output.close()
    return [line for line in range(last_line + 1) if line in output], torn


def test_answers_are_known_again(path: Path) -> None:
    assert read(path) == ([1, 3, 4], 0)


def test_wherever_it_is_torn_the_whole_answers_stay(path: Path) -> None:
    whole = path.read_bytes()
    kept = set[tuple[int, ...]]()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        lines, torn = read(path)
        kept.add(tuple(lines))
        after = path.read_bytes()
        assert len(after) == size - torn or (size - torn, after[:9]) == (0, b"custom_id")
        assert whole.startswith(after)
    assert kept == {(), (1,), (1, 3)}


def test_what_is_no_answer_to_this_input_is_cut_off_with_all_that_follows(path: Path) -> None:
    size = path.stat().st_size
    lines, torn = read(path, last_line=2)
    assert lines == [1]
    assert 0 < path.stat().st_size == size - torn
