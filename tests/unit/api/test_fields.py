"""What the wire's field types take, and that they convert nothing."""

from typing import Any

import pytest
from marshmallow import Schema, ValidationError, fields

from api.openai.schemas import fields as wire
from api.openai.schemas.lists import PageQuery
from shared.store.pages import PageRequest


def load(field: fields.Field, value: Any) -> Any:
    return Schema.from_dict({"it": field})().load({"it": value})["it"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (wire.Text(), ""),
        (wire.Text(longest=3), "äöü"),
        (wire.Text(allow_none=True), None),
        (wire.Id("file"), "file-x"),
        (wire.Choice("a", "b"), "b"),
        (wire.Whole(least=1, most=3), 1),
        (wire.Whole(least=1, most=3), 3),
        (wire.Decimal(least=0, most=2), 0),
        (wire.Decimal(least=0, most=2), 2),
        (wire.Decimal(least=0, most=2), 0.7),
        (wire.Flag(), False),
        (wire.Json(), {"any": [None, 1.5]}),
        (wire.Metadata(), {}),
        (wire.Metadata(), {"": ""}),
        (wire.ListOf(wire.Text(), least=0, most=2), ["a", "b"]),
    ],
)
def test_a_good_value_is_loaded_as_it_is(field: fields.Field, value: Any) -> None:
    assert load(field, value) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (wire.Text(), 5),
        (wire.Text(), None),
        (wire.Text(longest=3), "abcd"),
        (wire.Text(), "a\0"),
        (wire.Id("file"), "x-file"),
        (wire.Id("file"), "file-" + "x" * 200),
        (wire.Choice("a", "b"), "A"),
        (wire.Whole(), "5"),
        (wire.Whole(), 5.0),
        (wire.Whole(), True),
        (wire.Whole(least=1, most=3), 0),
        (wire.Whole(least=1, most=3), 4),
        (wire.Decimal(least=0, most=2), "1"),
        (wire.Decimal(least=0, most=2), True),
        (wire.Decimal(least=0, most=2), float("inf")),
        (wire.Flag(), 1),
        (wire.Flag(), "true"),
        (wire.Json(), []),
        (wire.Metadata(), {"a": None}),
        (wire.Metadata(), {"a": "\0"}),
        (wire.Metadata(), [["a", "b"]]),
        (wire.ListOf(wire.Text()), "ab"),
        (wire.ListOf(wire.Text()), ["a", 5]),
        (wire.ListOf(wire.Text(), most=2), ["a", "b", "c"]),
        (wire.ListOf(wire.Text(), least=1), []),
    ],
)
def test_any_other_is_refused_and_not_converted(field: fields.Field, value: Any) -> None:
    with pytest.raises(ValidationError):
        load(field, value)


def test_a_query_becomes_a_page_request() -> None:
    assert PageQuery().load({}) == PageRequest(limit=20, order="desc")
    given = {"limit": "7", "order": "asc", "after": "a", "before": "b", "unknown": "ignored"}
    assert PageQuery().load(given) == PageRequest(limit=7, order="asc", after="a", before="b")


@pytest.mark.parametrize(
    "text", ["", "x", "1.0", "1e3", "\uff11", "1_0", " 1", "+1", "0", "101", "-1"]
)
def test_a_limit_is_a_plain_number_in_range(text: str) -> None:
    with pytest.raises(ValidationError):
        PageQuery().load({"limit": text})
