"""Vector stores on the wire, and how their files are cut into chunks."""

from typing import Any

from marshmallow import ValidationError, fields

from api.openai.schemas.answers import Answer, UnixTime
from api.openai.schemas.faults import refuse
from api.openai.schemas.fields import (
    ByType,
    Choice,
    Id,
    ListOf,
    Metadata,
    Object,
    Text,
    Whole,
    WireSchema,
)
from shared.ingest_state import IngestStatus
from shared.store import vector_stores
from shared.store.vector_store_files import CHUNK_TOKENS, OVERLAP_TOKENS, NewStoreFile
from shared.store.vector_stores import NewVectorStore

MOST_FILES_AT_CREATION = 500
MOST_FILES_IN_PASSING = 10_000
STORE_STATUSES = ("expired", "in_progress", "completed")
FILE_STATUSES = tuple(status.value for status in IngestStatus)
Cut = dict[str, int]
_AUTO: Cut = {
    "max_chunk_size_tokens": CHUNK_TOKENS,
    "chunk_overlap_tokens": OVERLAP_TOKENS,
}


class _AutoChunking(WireSchema):
    type = fields.Constant("auto", required=True)

    def loaded(self, data: dict[str, Any]) -> Any:
        return _AUTO


class _ChunkSizes(WireSchema):
    max_chunk_size_tokens = Whole(least=100, most=4096, required=True)
    chunk_overlap_tokens = Whole(least=0, most=2048, required=True)


class _StaticChunking(WireSchema):
    type = fields.Constant("static", required=True)
    static = Object(_ChunkSizes, required=True)

    def loaded(self, data: dict[str, Any]) -> Any:
        sizes = data["static"]
        most = sizes["max_chunk_size_tokens"] // 2
        if sizes["chunk_overlap_tokens"] > most:
            fault = refuse(
                "invalid_value",
                "Invalid ",
                f": must not exceed half of 'max_chunk_size_tokens', which is {most}.",
            )
            raise ValidationError({"static": {"chunk_overlap_tokens": fault.messages}})
        return sizes


class ChunkingStrategy(ByType):
    """Loads the sizes in tokens, as a NewStoreFile has them."""

    def __init__(self) -> None:
        super().__init__({"auto": _AutoChunking(), "static": _StaticChunking()})


class _ExpiresUnused(WireSchema):
    anchor = Choice("last_active_at", required=True)
    days = Whole(least=1, most=365, required=True)


class CreateVectorStore(WireSchema):
    """Loads `(NewVectorStore, [NewStoreFile])`."""

    name = Text(longest=256)
    description = Text(longest=512)
    file_ids = ListOf(Id("file"), most=MOST_FILES_AT_CREATION)
    expires_after = Object(_ExpiresUnused)
    chunking_strategy = ChunkingStrategy()
    metadata = Metadata()

    def loaded(self, data: dict[str, Any]) -> Any:
        cut = data.pop("chunking_strategy", _AUTO)
        files = [NewStoreFile(file_id=file_id, **cut) for file_id in data.pop("file_ids", ())]
        days = data.pop("expires_after", {}).get("days")
        return NewVectorStore(**data, expires_after_days=days), files


class StoreInPassing(WireSchema):
    """One that is made with what is to use it. Loads `(NewVectorStore, [NewStoreFile])`."""

    file_ids = ListOf(Id("file"), most=MOST_FILES_IN_PASSING)
    chunking_strategy = ChunkingStrategy()
    metadata = Metadata()

    def loaded(self, data: dict[str, Any]) -> Any:
        cut = data.get("chunking_strategy", _AUTO)
        files = [NewStoreFile(file_id=file_id, **cut) for file_id in data.get("file_ids", ())]
        return NewVectorStore(metadata=data["metadata"]), files


class ModifyVectorStore(WireSchema):
    """Loads what changes."""

    name = Text(longest=256, allow_none=True)
    expires_after = Object(_ExpiresUnused, allow_none=True)
    metadata = Metadata()

    def loaded(self, data: dict[str, Any]) -> Any:
        if "expires_after" in data:
            data["expires_after_days"] = (data.pop("expires_after") or {}).get("days")
        return data


class VectorStore(Answer):
    id = fields.String()
    object = fields.Constant("vector_store")
    created_at = UnixTime()
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    usage_bytes = fields.Integer()
    file_counts: Any = fields.Function(lambda store: counts(store))
    status = fields.Function(lambda store: _status(store))
    expires_after = fields.Function(lambda store: _expires_after(store))
    expires_at = UnixTime(allow_none=True)
    last_active_at = UnixTime()
    metadata = fields.Raw()


def counts(of: Any) -> dict[str, int]:
    """Of the files of a store or a batch."""
    told = {status: getattr(of, status) for status in FILE_STATUSES}
    return {**told, "total": sum(told.values())}


def _status(store: vector_stores.VectorStore) -> str:
    if store.is_expired:
        return "expired"
    return "in_progress" if store.in_progress else "completed"


def _expires_after(store: vector_stores.VectorStore) -> dict[str, Any] | None:
    days = store.expires_after_days
    return None if days is None else {"anchor": "last_active_at", "days": days}
