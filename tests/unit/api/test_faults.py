from typing import Any

import pytest
from marshmallow import ValidationError

from api.openai.schemas.faults import (
    JSON_DEPTH,
    Fault,
    check_json,
    first_fault,
    wrong_choice,
    wrong_type,
)

HERE = Fault("code", "Bad ", ".")


@pytest.mark.parametrize(
    ("errors", "path"),
    [
        ({"role": [HERE]}, "role"),
        ({"messages": {0: {"role": [HERE]}}}, "messages[0].role"),
        ({"messages": {2: [HERE]}}, "messages[2]"),
        ({"content": {10: {"image_url": {"url": [HERE]}}}}, "content[10].image_url.url"),
        ({"metadata": {"a.b": [HERE]}}, "metadata.a.b"),
        ({"first": [HERE], "second": [Fault("other", "Other ", ".")]}, "first"),
    ],
)
def test_a_fault_is_named_by_where_it_stands(errors: Any, path: str) -> None:
    found = first_fault(errors)
    assert (found.message, found.param, found.code) == (f"Bad '{path}'.", path, "code")


def test_a_fault_of_the_whole_has_no_param() -> None:
    found = first_fault({"_schema": [Fault(None, "The body must be a JSON object.")]})
    assert (found.message, found.param, found.code) == (
        "The body must be a JSON object.",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a decimal number"),
        ("x", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_a_wrong_type_says_what_came_instead(value: Any, kind: str) -> None:
    fault = wrong_type("a string", value).messages[0]
    assert fault.at("metadata.modified").message == (
        f"Invalid type for 'metadata.modified': expected a string, but got {kind} instead."
    )


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        (("auto",), "'auto'"),
        (("user", "assistant"), "'user' and 'assistant'"),
        (("a", "b", "c"), "'a', 'b', and 'c'"),
    ],
)
def test_a_wrong_choice_lists_the_right_ones(words: tuple[str, ...], listed: str) -> None:
    found = wrong_choice("human", words).messages[0].at("role")
    assert found.message == f"Invalid value: 'human'. Supported values are: {listed}."
    assert (found.param, found.code) == ("role", "invalid_value")


def nested(depth: int, wrap: Any) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda below: [below], lambda below: {"a": below}])
def test_json_is_accepted_to_a_depth_and_no_deeper(wrap: Any) -> None:
    check_json(nested(JSON_DEPTH - 2, wrap))
    for depth in (JSON_DEPTH, JSON_DEPTH + 1, 100_000):
        with pytest.raises(ValidationError) as caught:
            check_json(nested(depth, wrap))
        assert "nested deeper" in caught.value.messages[0].at("schema").message


@pytest.mark.parametrize("value", ["\0", ["\0"], {"a": {"b": ["x\0"]}}, {"\0": 1}, [{"a\0": []}]])
def test_the_character_that_postgresql_cannot_store_is_found_anywhere(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        check_json(value)
    assert "U+0000" in caught.value.messages[0].at("schema").message


def test_wide_json_is_no_deep_json() -> None:
    check_json({str(number): list(range(100)) for number in range(1000)})
