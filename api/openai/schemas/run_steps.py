"""Run steps on the wire. They carry both `expires_at`, as recorded, and `expired_at`, as
documented."""

from marshmallow import fields

from api.openai.schemas.fields import Answer, Choice, UnixTime
from shared.store import run_steps


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
