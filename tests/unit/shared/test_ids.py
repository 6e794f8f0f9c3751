import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import DIGITS, PREFIXES, is_wellformed, new_id, random_text


@pytest.mark.parametrize("prefix", PREFIXES.values())
def test_an_id_is_its_prefix_and_24_letters_and_digits(prefix: str) -> None:
    made = new_id(prefix)
    assert re.fullmatch(f"{prefix}_[A-Za-z0-9]{{24}}", made)
    assert is_wellformed(made)


def test_the_prefixes_are_the_wires_and_none_begins_another() -> None:
    wire = {"asst", "thread", "msg", "run", "step"}
    assert wire <= set(PREFIXES.values())
    assert not [(a, b) for a in wire for b in wire if a != b and a.startswith(b)]


def test_ids_sort_by_the_time_they_were_made_and_none_comes_twice() -> None:
    made = [new_id("run") for _ in range(5000)]
    moments = [id_[: len("run_") + 8] for id_ in made]
    assert moments == sorted(moments)
    assert len(set(made)) == len(made)


def test_the_digits_sort_as_their_values_do() -> None:
    assert sorted(DIGITS) == list(DIGITS)
    assert len(set(DIGITS)) == 62


def test_a_random_text_uses_all_digits_in_all_places() -> None:
    made = [random_text(4) for _ in range(3000)]
    assert {len(one) for one in made} == {4}
    for place in range(4):
        assert {one[place] for one in made} == set(DIGITS)


@pytest.mark.parametrize("text", ["run_x", "file-abc", "a", "0", "A-_z", "x" * 200])
def test_what_could_name_a_row_is_wellformed(text: str) -> None:
    assert is_wellformed(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "-",
        "run x",
        "run_é",
        "run_x\n",
        "run\0",
        "run.x",
        "../x",
        "%",
        "\uff11",
        "x" * 201,
        "'",
    ],
)
def test_what_no_row_can_be_named_is_not(text: str) -> None:
    assert not is_wellformed(text)


@given(st.text(max_size=30))
def test_a_wellformed_id_can_stand_in_a_path_and_in_a_header(text: str) -> None:
    if is_wellformed(text):
        assert re.fullmatch(r"[A-Za-z0-9_-]+", text, re.ASCII)
