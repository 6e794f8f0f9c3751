"""Searches of vector stores on the wire: questions, filters, what is found."""

from typing import Any

from marshmallow import ValidationError, fields

from api.openai.schemas.answers import Answer
from api.openai.schemas.faults import REQUIRED, check_json, check_length, refuse, wrong_type
from api.openai.schemas.fields import Choice, Decimal, Flag, ListOf, Object, Text, Whole, WireSchema

LONGEST_QUERY = 8192
MOST_QUERIES = 16
COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
_COMPOUNDS = ("and", "or")
_MOST_FILTERS = 256


class Query(Text):
    """A question, or several. Loads a list."""

    expected = "one of a string or an array of strings"

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        if isinstance(value, str):
            return [self._question(value)]
        if not isinstance(value, list):
            raise wrong_type(self.expected, value)
        check_length(value, 1, MOST_QUERIES)
        faults: dict[int, Any] = {}
        for place, one in enumerate(value):
            try:
                self._question(one)
            except ValidationError as error:
                faults[place] = error.messages
        if faults:
            raise ValidationError(faults)  # type: ignore[arg-type]
        return value

    def _question(self, text: Any) -> str:
        question = super()._deserialize(text, None, None)
        if not question.strip():
            raise refuse("invalid_value", "Invalid ", ": expected a question, but got no words.")
        return question


class _Operand(fields.Raw):
    """What an attribute is compared with."""


class _Comparison(WireSchema):
    type = Choice(*COMPARISONS, *_COMPOUNDS, required=True)
    key = Text(required=True, longest=64)
    value = _Operand(required=True, allow_none=True, error_messages={"required": [REQUIRED]})

    def loaded(self, data: dict[str, Any]) -> Any:
        wants_list = data["type"] in ("in", "nin")
        value = data["value"]
        if wants_list != isinstance(value, list):
            wanted = "an array" if wants_list else "one of a string, a number or a boolean"
            raise ValidationError({"value": wrong_type(wanted, value).messages})
        for one in value if wants_list else [value]:
            if one is None or isinstance(one, dict | list):
                fault = wrong_type("one of a string, a number or a boolean", one)
                raise ValidationError({"value": fault.messages})
        return data


class _Compound(WireSchema):
    type = Choice(*_COMPOUNDS, required=True)
    filters = ListOf(fields.Raw(allow_none=True), least=1, most=_MOST_FILTERS, required=True)


class Filter(Object):
    """One comparison, or several joined by `and` or `or`. Loads what it is given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(_Comparison, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, *_: Any, **__: Any) -> Any:
        check_json(value)
        self._judge(value)
        if _count(value) > _MOST_FILTERS:
            raise refuse("invalid_value", "Invalid ", f": more than {_MOST_FILTERS} filters.")
        return value

    def _judge(self, value: Any) -> None:
        """As deep as JSON may be."""
        if not isinstance(value, dict):
            raise wrong_type(self.expected, value)
        if value.get("type") not in _COMPOUNDS:
            _COMPARISON.load(value)
            return
        _COMPOUND.load(value)
        faults: dict[int, Any] = {}
        for place, one in enumerate(value["filters"]):
            try:
                self._judge(one)
            except ValidationError as error:
                faults[place] = error.messages
        if faults:
            raise ValidationError({"filters": faults})


_COMPARISON, _COMPOUND = _Comparison(), _Compound()


def _count(value: dict[str, Any]) -> int:
    return 1 + sum(_count(one) for one in value.get("filters", ()))


class _Ranking(WireSchema):
    ranker = Choice("none", "auto", "default-2024-11-15", load_default="auto")
    score_threshold = Decimal(least=0, most=1, load_default=0.0)


class Search(WireSchema):
    query = Query(longest=LONGEST_QUERY, required=True)
    rewrite_query = Flag(load_default=False)
    max_num_results = Whole(least=1, most=50, load_default=10)
    filters = Filter()
    ranking_options = Object(_Ranking, load_default=lambda: {"score_threshold": 0.0})


class Result(Answer):
    file_id = fields.String()
    filename = fields.String()
    score = fields.Float()
    attributes = fields.Raw()
    content = fields.Function(lambda found: [{"type": "text", "text": found.text}])


class Results(Answer):
    object = fields.Constant("vector_store.search_results.page")
    search_query = fields.List(fields.String())
    data = fields.List(fields.Nested(Result))
    has_more = fields.Boolean()
    next_page = fields.Function(lambda _: None)
