"""Lists: the query that asks for a page, and the envelope that answers it."""

from functools import cache
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, post_load

from api.openai.schemas.answers import Answer
from api.openai.schemas.fields import Choice, QueryWhole, Text
from shared.ingest_state import IngestStatus
from shared.store.pages import PageRequest


class PageQuery(Schema):
    """Loads a PageRequest. Unknown query parameters are ignored, as on the wire."""

    class Meta:
        unknown = EXCLUDE

    limit = QueryWhole(least=1, most=100, load_default=20)
    order = Choice("asc", "desc", load_default="desc")
    after = Text(longest=200)
    before = Text(longest=200)

    @post_load
    def _page_request(self, data: dict[str, Any], **_: Any) -> PageRequest:
        return PageRequest(**data)


class MessagePageQuery(PageQuery):
    """Loads `(PageRequest, run_id | None)`."""

    run_id = Text(longest=200)

    @post_load
    def _page_request(self, data: dict[str, Any], **_: Any) -> Any:
        run_id = data.pop("run_id", None)
        return PageRequest(**data), run_id


class StoreFilePageQuery(PageQuery):
    """Loads `(PageRequest, status | None)`."""

    filter = Choice(*(status.value for status in IngestStatus))

    @post_load
    def _page_request(self, data: dict[str, Any], **_: Any) -> Any:
        status = data.pop("filter", None)
        return PageRequest(**data), status


class FilePageQuery(Schema):
    """Loads `(PageRequest, purpose | None)`. All at once unless asked for fewer."""

    class Meta:
        unknown = EXCLUDE

    purpose = Text(longest=200)
    limit = QueryWhole(least=1, most=10_000, load_default=10_000)
    order = Choice("asc", "desc", load_default="desc")
    after = Text(longest=200)

    @post_load
    def _page_request(self, data: dict[str, Any], **_: Any) -> Any:
        purpose = data.pop("purpose", None)
        return PageRequest(**data), purpose


class BatchPageQuery(Schema):
    """Loads a PageRequest. Always the newest first."""

    class Meta:
        unknown = EXCLUDE

    limit = QueryWhole(least=1, most=100, load_default=20)
    after = Text(longest=200)

    @post_load
    def _page_request(self, data: dict[str, Any], **_: Any) -> PageRequest:
        return PageRequest(**data)


class _List(Answer):
    object = fields.Constant("list")
    first_id = fields.Function(lambda page: page.data[0].id if page.data else None)
    last_id = fields.Function(lambda page: page.data[-1].id if page.data else None)
    has_more = fields.Boolean()


@cache
def list_of(item: type[Schema]) -> Schema:
    """The envelope of a Page of these."""
    items: dict[str, fields.Field] = {"data": fields.List(fields.Nested(item))}
    return _List.from_dict(items, name=f"List{item.__name__}")()


def deleted(kind: str, left_as: str | None = None) -> Schema:
    """What is left of an object of this kind; its `object` says so, unless it is left as it was."""
    name = "".join(word.capitalize() for word in kind.split("."))
    left: dict[str, fields.Field] = {
        "id": fields.String(),
        "object": fields.Constant(left_as or f"{kind}.deleted"),
        "deleted": fields.Constant(True),
    }
    return Answer.from_dict(left, name=f"Deleted{name}")()
