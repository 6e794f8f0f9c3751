"""Inputs of every kind, and what is wrong with them."""

import io
import json
from typing import Any

import pytest

from cli.ask.errors import AskError
from cli.ask.questions import Bad, Question
from cli.ask.reading import LONGEST_LINE, format_of, questions
from cli.ask.survey import survey


def read(content: bytes, kind: str = "text", skipped: tuple[int, ...] = ()) -> list[Question | Bad]:
    return list(questions(io.BytesIO(content), kind, skipped))


def asked(content: bytes, kind: str = "text") -> dict[str, str]:
    """What each custom_id asks."""
    found: dict[str, str] = {}
    for one in read(content, kind):
        assert isinstance(one, Question), one
        found[one.custom_id] = one.body["thread"]["messages"][-1]["content"]
    return found


def told(content: bytes, kind: str = "text") -> str:
    """What is wrong with its only bad line."""
    (bad,) = [one for one in read(content, kind) if isinstance(one, Bad)]
    return f"line {bad.line} {bad.reason}"


def test_a_format_is_told_or_is_the_name_and_never_guessed() -> None:
    assert format_of("a.jsonl", None) == format_of("A.NDJSON", None) == "jsonl"
    assert format_of("a.csv", None) == "csv"
    assert format_of("a.csv", "text") == "text"
    for name in ("-", "a.dat"):
        with pytest.raises(AskError, match="say --format"):
            format_of(name, None)


def test_lines_end_as_on_any_system_and_empty_ones_only_count() -> None:
    content = b"\xef\xbb\xbfWhy?\r\n\r\n  \nHow?\x0bNow? \xe2\x80\xa8Then?"
    assert asked(content) == {"1": "Why?", "4": "How?\x0bNow? \u2028Then?"}


def test_lines_that_are_answered_are_passed_over() -> None:
    assert [one.line for one in read(b"a\nb\nc\n", skipped=(1, 3))] == [2]
    assert [one.line for one in read(b"question\na\nb\n", "csv", skipped=(2,))] == [3]


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b"a\n\xff\xfe\n", "text", "line 2 is not UTF-8"),
        (b"a\nb\0c\n", "text", "line 2 has the character U+0000"),
        (b'{"question": "a"', "jsonl", "line 1 is not JSON"),
        (b'{"question": "\\ud800"}', "jsonl", "line 1 is not JSON"),
        (b'\n{"question": "\xff"}', "jsonl", "line 2 is not UTF-8"),
        (b'["a"]', "jsonl", "line 1 is no JSON object"),
        (b'{"question": "a\\u0000"}', "jsonl", "line 1 has the character U+0000"),
        (b"{}", "jsonl", "line 1 needs one of 'question', 'content' and 'messages', and has none"),
        (b'{"question": "a", "content": "b"}', "jsonl", "has 'question' and 'content'"),
        (b'{"question": " "}', "jsonl", "line 1 has no text in 'question'"),
        (b'{"question": "a", "temprature": 1}', "jsonl", "'temprature', which means nothing"),
        (b'{"question": "a", "custom_id": 1.5}', "jsonl", "neither text nor a whole number"),
        (b'{"question": "a", "metadata": 7}', "jsonl", "'metadata' that is no object"),
        (b'{"messages": []}', "jsonl", "no list of messages"),
        (b'{"messages": [{"role": "system", "content": "a"}]}', "jsonl", "goes to 'instructions'"),
        (b'{"messages": [{"role": "user"}]}', "jsonl", "has no text in a message's 'content'"),
        (b"question,shelf\na,1\nb\n", "csv", "line 3 has 1 columns, and the header 2"),
        (b"question\na\n\xff\n", "csv", "line 3 is not UTF-8"),
        (b'question\n"a\nb"\n" "\n', "csv", "line 4 has no text in 'question'"),
    ],
)
def test_a_bad_line_is_told_with_its_number(content: bytes, kind: str, reason: str) -> None:
    assert reason in told(content, kind)


def test_a_line_may_be_long_but_not_without_end() -> None:
    long = b"a" * (10 << 20)
    endless = b"b" * (LONGEST_LINE + 1) + b"c" * LONGEST_LINE
    first, second, third = read(long + b"\n" + endless + b"\nWhy?\n")
    assert isinstance(first, Question)
    assert second == Bad(2, "is longer than 16 MB")
    assert isinstance(third, Question)
    assert third.custom_id == "3"


def test_a_row_of_csv_may_span_lines_and_keeps_its_other_columns() -> None:
    first, second = read(b'\xef\xbb\xbfshelf,question\r\n7,"a\r\nb"\r\n\r\n8,c\r\n', "csv")
    assert isinstance(first, Question)
    assert isinstance(second, Question)
    assert (first.line, first.metadata) == (2, {"shelf": "7"})
    assert first.body["thread"]["messages"][0]["content"] == "a\nb"
    assert (second.line, second.custom_id) == (5, "5")


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b"\xff\xfea\0", "text", "UTF-16"),
        (b"a,b\n", "csv", "one of them 'question'; it has 'a', 'b'"),
        (b"question,question\n", "csv", "each once"),
        (b"", "csv", "must name its columns"),
        (b'question\n"a', "csv", "Line 2 is no CSV"),
    ],
)
def test_an_input_that_is_something_else_is_refused(content: bytes, kind: str, reason: str) -> None:
    with pytest.raises(AskError, match=reason):
        read(content, kind)


def objects(*given: dict[str, Any]) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(one).encode() + b"\n" for one in given))


@pytest.mark.parametrize(
    ("first", "third"), [({"custom_id": "a"}, {"custom_id": "a"}), ({"custom_id": "3"}, {})]
)
def test_a_custom_id_that_comes_twice_is_refused_with_both_lines(
    first: dict[str, str], third: dict[str, str]
) -> None:
    given = objects(*({"question": "Why?", **one} for one in (first, {}, third)))
    with pytest.raises(AskError, match="on line 1 and on line 3"):
        survey(given, "jsonl", has_assistant=True)


def test_a_survey_tells_how_many_there_are_and_who_is_needed() -> None:
    given = objects(
        {"question": "Why?", "assistant_id": "asst_1"},
        {"question": "Why?", "model": "m"},
        {"question": "Why?"},
    )
    found = survey(given, "jsonl", has_assistant=False)
    assert (found.count, found.last_line, found.first_model) == (3, 3, "m")
    assert [bad.line for bad in found.bad] == [3]
    assert survey(given, "jsonl", has_assistant=True).bad == []
