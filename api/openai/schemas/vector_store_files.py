"""Files of vector stores on the wire, alone and in batches."""

from typing import Any

from marshmallow import ValidationError, fields

from api.openai.schemas.answers import Answer, UnixTime
from api.openai.schemas.faults import REQUIRED, refuse
from api.openai.schemas.fields import Attributes, Choice, Id, ListOf, Object, WireSchema
from api.openai.schemas.vector_stores import FILE_STATUSES, ChunkingStrategy, counts
from shared.store import vector_store_batches, vector_store_files
from shared.store.vector_store_files import NewStoreFile

MOST_FILES_AT_ONCE = 2000


class AddFile(WireSchema):
    """Loads a NewStoreFile."""

    file_id = Id("file", required=True)
    chunking_strategy = ChunkingStrategy()
    attributes = Attributes()

    def loaded(self, data: dict[str, Any]) -> Any:
        return NewStoreFile(**data.pop("chunking_strategy", {}), **data)


class SetAttributes(WireSchema):
    """Loads the attributes."""

    attributes = Attributes(required=True)

    def loaded(self, data: dict[str, Any]) -> Any:
        return data["attributes"] or {}


class CreateFileBatch(WireSchema):
    """Loads `[NewStoreFile]`."""

    file_ids = ListOf(Id("file"), least=1, most=MOST_FILES_AT_ONCE)
    files = ListOf(Object(AddFile), least=1, most=MOST_FILES_AT_ONCE)
    chunking_strategy = ChunkingStrategy()
    attributes = Attributes()

    def loaded(self, data: dict[str, Any]) -> Any:
        """What is said of all goes with `file_ids`: in `files` each speaks for itself."""
        if "files" in data and "file_ids" in data:
            both = refuse(
                "invalid_value", "Invalid ", ": 'file_ids' and 'files' are mutually exclusive."
            )
            raise ValidationError({"files": both.messages})
        if "files" in data:
            return data["files"]
        if "file_ids" not in data:
            raise ValidationError({"file_ids": [REQUIRED]})
        shared = {"attributes": data.get("attributes"), **data.get("chunking_strategy", {})}
        return [NewStoreFile(file_id=file_id, **shared) for file_id in data["file_ids"]]


class StoreFile(Answer):
    id = fields.String()
    object = fields.Constant("vector_store.file")
    usage_bytes = fields.Integer()
    created_at = UnixTime()
    vector_store_id = fields.String()
    status = Choice(*FILE_STATUSES)
    last_error = fields.Raw(allow_none=True)
    chunking_strategy = fields.Function(lambda file: _chunking_strategy(file))
    attributes = fields.Raw()


class FileBatch(Answer):
    id = fields.String()
    object = fields.Constant("vector_store.file_batch")
    created_at = UnixTime()
    vector_store_id = fields.String()
    status = fields.Function(lambda batch: _status(batch))
    file_counts = fields.Function(lambda batch: counts(batch))


class FileContent(Answer):
    object = fields.Constant("vector_store.file_content.page")
    data = fields.Raw()
    has_more = fields.Boolean()
    next_page = fields.Function(lambda _: None)


def _chunking_strategy(file: vector_store_files.StoreFile) -> dict[str, Any]:
    sizes = {
        "max_chunk_size_tokens": file.max_chunk_size_tokens,
        "chunk_overlap_tokens": file.chunk_overlap_tokens,
    }
    return {"type": "static", "static": sizes}


def _status(batch: vector_store_batches.FileBatch) -> str:
    if batch.cancelled_at is not None:
        return "cancelled"
    if batch.in_progress:
        return "in_progress"
    return "failed" if batch.failed and not batch.completed else "completed"
