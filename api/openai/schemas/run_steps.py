"""Run steps on the wire. They carry both `expires_at`, as recorded, and `expired_at`, as
documented."""

from marshmallow import Schema, fields

from api.openai.schemas.fields import UnixTime


class RunStep(Schema):
    id = fields.String()
    object = fields.Constant("thread.run.step")
    created_at = UnixTime()
    run_id = fields.String()
    assistant_id = fields.String()
    thread_id = fields.String()
    type = fields.String()
    status = fields.String()
    cancelled_at = UnixTime(allow_none=True)
    completed_at = UnixTime(allow_none=True)
    expires_at = UnixTime(allow_none=True)
    expired_at = UnixTime(allow_none=True)
    failed_at = UnixTime(allow_none=True)
    last_error = fields.Raw(allow_none=True)
    step_details = fields.Raw()
    metadata = fields.Constant({})
    usage = fields.Function(lambda step: None if step.status == "in_progress" else step.usage)
