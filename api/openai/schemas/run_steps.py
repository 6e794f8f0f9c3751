"""Run steps on the wire. They carry both `expires_at`, as recorded, and `expired_at`, as
documented."""

from dataclasses import replace
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, post_load

from api.openai.schemas.answers import Answer, UnixTime
from api.openai.schemas.fields import Choice
from api.openai.schemas.lists import PageQuery
from shared.store import run_steps
from shared.store.pages import PageRequest

CONTENT = "step_details.tool_calls[*].file_search.results[*].content"


def _include(**options: Any) -> fields.List:
    return fields.List(Choice(CONTENT), **options)


class IncludeQuery(Schema):
    """Loads whether what searches found is to be shown whole. Clients write it in two ways."""

    class Meta:
        unknown = EXCLUDE

    include = _include()
    included = _include(data_key="include[]")

    @post_load
    def _whole(self, data: dict[str, Any], **_: Any) -> Any:
        return any(data.values())


class StepPageQuery(PageQuery):
    """Loads `(PageRequest, whether what searches found is to be shown whole)`."""

    include = _include()
    included = _include(data_key="include[]")

    @post_load
    def _page_request(self, data: dict[str, Any], **_: Any) -> Any:
        whole = [data.pop(name, None) for name in ("include", "included")]
        return PageRequest(**data), any(whole)


def shown(step: run_steps.RunStep, *, whole: bool) -> run_steps.RunStep:
    """As the wire shows it: of a search, what it was sorted by and what it found, `whole` or
    without the text."""
    if step.type != "tool_calls":
        return step
    calls = [_call(call, whole=whole) for call in step.step_details["tool_calls"]]
    return replace(step, step_details={"type": "tool_calls", "tool_calls": calls})


def _call(call: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    if call["type"] != "file_search":
        return call
    search = call["file_search"]
    results = [
        {name: value for name, value in result.items() if whole or name != "content"}
        for result in search["results"]
    ]
    told = {"ranking_options": search["ranking_options"], "results": results}
    return {**call, "file_search": told}


class RunStep(Answer):
    id = fields.String()
    object = fields.Constant("thread.run.step")
    created_at = UnixTime()
    run_id = fields.String()
    assistant_id = fields.String()
    thread_id = fields.String()
    type = Choice("message_creation", "tool_calls")
    status = Choice("in_progress", "cancelled", "failed", "completed", "expired")
    cancelled_at = UnixTime(allow_none=True)
    completed_at = UnixTime(allow_none=True)
    expires_at = UnixTime(allow_none=True)
    expired_at = UnixTime(allow_none=True)
    failed_at = UnixTime(allow_none=True)
    last_error = fields.Function(lambda step: _last_error(step))
    step_details = fields.Raw()
    metadata = fields.Constant({})
    usage = fields.Function(lambda step: None if step.status == "in_progress" else step.usage)


def _last_error(step: run_steps.RunStep) -> dict[str, str] | None:
    """The run's, though a step cannot say that the prompt was to blame."""
    error = step.last_error
    if error is not None and error["code"] == "invalid_prompt":
        return {**error, "code": "server_error"}
    return error
