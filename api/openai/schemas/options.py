"""Options that assistants, threads and runs share."""

from typing import Any

from marshmallow import ValidationError, fields

from api.openai.schemas.faults import UNKNOWN, not_built, refuse, wrong_choice
from api.openai.schemas.fields import (
    ByType,
    Choice,
    Decimal,
    Flag,
    Id,
    Json,
    ListOf,
    Object,
    Text,
    Whole,
    WireSchema,
)
from api.openai.schemas.vector_stores import StoreInPassing

TOOL_TYPES = ("code_interpreter", "file_search", "function")
RANKER = "default_2024_08_21"
_RANKING = {"ranker": RANKER, "score_threshold": 0.0}


class _Function(WireSchema):
    name = Text(required=True, longest=64, pattern=r"[a-zA-Z0-9_-]+")
    description = Text(longest=10_000, allow_none=True)
    parameters = Json()
    strict = Flag(allow_none=True, load_default=False)

    def loaded(self, data: dict[str, Any]) -> Any:
        data.setdefault("parameters", {"type": "object", "properties": {}})
        return {name: value for name, value in data.items() if value is not None}


class _FunctionTool(WireSchema):
    type = fields.Constant("function", required=True)
    function = Object(_Function, required=True)


class _FileSearchRanking(WireSchema):
    ranker = Choice("auto", RANKER, load_default=RANKER)
    score_threshold = Decimal(least=0, most=1, required=True)


class _FileSearch(WireSchema):
    max_num_results = Whole(least=1, most=50)
    ranking_options = Object(_FileSearchRanking, load_default=lambda: dict(_RANKING))


class _FileSearchTool(WireSchema):
    """Loads all that a search goes by."""

    type = fields.Constant("file_search", required=True)
    file_search = Object(_FileSearch, load_default=lambda: {"ranking_options": dict(_RANKING)})


class Tool(ByType):
    def __init__(self) -> None:
        built = {"file_search": _FileSearchTool(), "function": _FunctionTool()}
        super().__init__({"code_interpreter": None, **built})


class Tools(ListOf):
    def __init__(self, **options: Any) -> None:
        super().__init__(Tool(), most=128, **options)


class _CodeInterpreterResources(WireSchema):
    file_ids = ListOf(Id("file"), most=20)


class _FileSearchResources(WireSchema):
    vector_store_ids = ListOf(Id("vs"), most=1)
    vector_stores = ListOf(Object(StoreInPassing), most=1)

    def loaded(self, data: dict[str, Any]) -> Any:
        if data.get("vector_stores") and data.get("vector_store_ids"):
            both = refuse("invalid_value", "Invalid ", ": there may be one vector store.")
            raise ValidationError({"vector_stores": both.messages})
        return data


class _ToolResources(WireSchema):
    code_interpreter = Object(_CodeInterpreterResources)
    file_search = Object(_FileSearchResources)


class ToolResources(Object):
    """Files and vector stores by id, and a store to be made: a NewVectorStore with its
    NewStoreFiles."""

    def __init__(self, load_default: Any = dict, *, may_make: bool = True, **options: Any) -> None:
        super().__init__(_ToolResources, load_default=load_default, allow_none=True, **options)
        self._may_make = may_make

    def _deserialize(self, value: Any, attr: str | None, data: Any, *_: Any, **__: Any) -> Any:
        resources = super()._deserialize(value, attr, data)
        searched = resources.get("file_search", {})
        if "vector_stores" in searched and not self._may_make:
            raise ValidationError({"file_search": {"vector_stores": [UNKNOWN]}})
        if not searched.get("vector_stores", True):
            del searched["vector_stores"]
        return resources


class _JsonSchema(WireSchema):
    name = Text(required=True, longest=64)
    description = Text(longest=10_000)
    schema = Json()
    strict = Flag(allow_none=True)


class _ResponseFormat(WireSchema):
    type = Choice("text", "json_object", "json_schema", required=True)
    json_schema = Object(_JsonSchema)


class ResponseFormat(Object):
    """`"auto"` or an object; echoed exactly as given."""

    expected = "one of an object or 'auto'"

    def __init__(self, **options: Any) -> None:
        super().__init__(_ResponseFormat, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, str):
            if value != "auto":
                raise wrong_choice(value, ("auto",))
            return value
        loaded = super()._deserialize(value, attr, data)
        if loaded["type"] == "json_schema" and "json_schema" not in loaded:
            raise ValidationError({"json_schema": self.error_messages["required"]})
        if loaded["type"] != "json_schema" and "json_schema" in loaded:
            raise ValidationError({"json_schema": [UNKNOWN]})
        return value


class _NamedFunction(WireSchema):
    name = Text(required=True, longest=64)


class _NamedToolChoice(WireSchema):
    type = Choice(*TOOL_TYPES, required=True)
    function = Object(_NamedFunction)


class ToolChoice(Object):
    """`none`, `auto`, `required`, or the one tool to call."""

    expected = "one of a string or an object"
    words = ("none", "auto", "required")

    def __init__(self, **options: Any) -> None:
        super().__init__(_NamedToolChoice, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, str):
            if value not in self.words:
                raise wrong_choice(value, self.words)
            return value
        loaded = super()._deserialize(value, attr, data)
        if loaded["type"] == "function" and "function" not in loaded:
            raise ValidationError({"function": self.error_messages["required"]})
        if loaded["type"] == "code_interpreter":
            raise ValidationError({"type": [not_built(f"the tool {loaded['type']}")]})
        return loaded


class _Truncation(WireSchema):
    type = Choice("auto", "last_messages", required=True)
    last_messages = Whole(least=1, most=100_000, allow_none=True, load_default=None)


class Truncation(Object):
    def __init__(self, **options: Any) -> None:
        super().__init__(_Truncation, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, *_: Any, **__: Any) -> Any:
        strategy = super()._deserialize(value, attr, data)
        if strategy["type"] == "last_messages" and strategy["last_messages"] is None:
            raise ValidationError({"last_messages": self.error_messages["required"]})
        if strategy["type"] == "auto" and strategy["last_messages"] is not None:
            raise refuse(
                "invalid_value",
                "Invalid ",
                ": 'last_messages' goes with the type 'last_messages' only.",
            )
        return strategy
