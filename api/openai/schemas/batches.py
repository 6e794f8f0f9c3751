"""Batches on the wire."""

from typing import Any

from marshmallow import fields

from api.openai.schemas.answers import Answer, UnixTime
from api.openai.schemas.fields import Choice, Id, Metadata, Object, Whole, WireSchema
from api.openai.schemas.files import LEAST_LIFE, LONGEST_LIFE
from shared.batch_state import BatchStatus
from shared.store import batches
from shared.store.batches import NewBatch

THREADS_RUNS = "/v1/threads/runs"
CHAT_COMPLETIONS = "/v1/chat/completions"
ENDPOINTS = (THREADS_RUNS, CHAT_COMPLETIONS)
_WINDOW = "24h"


class _ExpiresAfter(WireSchema):
    anchor = Choice("created_at", required=True)
    seconds = Whole(least=LEAST_LIFE, most=LONGEST_LIFE, required=True)


class CreateBatch(WireSchema):
    """Loads a NewBatch."""

    input_file_id = Id("file", required=True)
    endpoint = Choice(*ENDPOINTS, required=True)
    completion_window = Choice(_WINDOW, required=True)
    metadata = Metadata()
    output_expires_after = Object(_ExpiresAfter)

    def loaded(self, data: dict[str, Any]) -> Any:
        life = data.pop("output_expires_after", {}).get("seconds")
        return NewBatch(**data, output_life_seconds=life)


class Batch(Answer):
    id = fields.String()
    object = fields.Constant("batch")
    endpoint = Choice(*ENDPOINTS)
    model = fields.String(allow_none=True)
    errors: Any = fields.Function(lambda batch: _errors(batch))
    input_file_id = fields.String()
    completion_window = Choice(_WINDOW)
    status = Choice(*(status.value for status in BatchStatus))
    output_file_id = fields.String(allow_none=True)
    error_file_id = fields.String(allow_none=True)
    created_at = UnixTime()
    in_progress_at = UnixTime(allow_none=True)
    expires_at = UnixTime()
    finalizing_at = UnixTime(allow_none=True)
    completed_at = UnixTime(allow_none=True)
    failed_at = UnixTime(allow_none=True)
    expired_at = UnixTime(allow_none=True)
    cancelling_at = UnixTime(allow_none=True)
    cancelled_at = UnixTime(allow_none=True)
    request_counts = fields.Function(lambda batch: _counts(batch))
    usage = fields.Function(lambda batch: _usage(batch))
    metadata = fields.Raw()


def _errors(batch: batches.Batch) -> dict[str, Any] | None:
    """Not before all lines are read."""
    if batch.status is not BatchStatus.FAILED:
        return None
    return {"object": "list", "data": batch.errors or []}


def _counts(batch: batches.Batch) -> dict[str, int]:
    return {"total": batch.total, "completed": batch.completed, "failed": batch.failed}


def _usage(batch: batches.Batch) -> dict[str, Any]:
    return {
        "input_tokens": batch.input_tokens,
        "input_tokens_details": {"cached_tokens": batch.cached_tokens},
        "output_tokens": batch.output_tokens,
        "output_tokens_details": {"reasoning_tokens": batch.reasoning_tokens},
        "total_tokens": batch.input_tokens + batch.output_tokens,
    }
