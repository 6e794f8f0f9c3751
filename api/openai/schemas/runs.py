"""Runs on the wire."""

from typing import Any

from marshmallow import fields

from api.openai.schemas.answers import Answer, UnixTime
from api.openai.schemas.assistants import EFFORTS
from api.openai.schemas.fields import (
    Choice,
    Decimal,
    Flag,
    Id,
    ListOf,
    Metadata,
    Object,
    Text,
    Whole,
    WireSchema,
)
from api.openai.schemas.messages import CreateMessage
from api.openai.schemas.options import (
    ResponseFormat,
    ToolChoice,
    ToolResources,
    Tools,
    Truncation,
)
from api.openai.schemas.threads import CreateThread
from api.run_requests import RunRequest, ToolOutputs
from shared.run_state import RunStatus
from shared.store import runs


class _RunOptions(WireSchema):
    assistant_id = Id("asst", required=True)
    model = Text(longest=256, allow_none=True)
    instructions = Text(longest=256_000, allow_none=True)
    tools = Tools(allow_none=True)
    metadata = Metadata()
    temperature = Decimal(least=0, most=2, allow_none=True)
    top_p = Decimal(least=0, most=1, allow_none=True)
    stream = Flag(allow_none=True, load_default=False)
    max_prompt_tokens = Whole(least=256, most=2**31 - 1, allow_none=True)
    max_completion_tokens = Whole(least=256, most=2**31 - 1, allow_none=True)
    truncation_strategy = Truncation(allow_none=True)
    tool_choice = ToolChoice(allow_none=True)
    parallel_tool_calls = Flag(allow_none=True)
    response_format = ResponseFormat(allow_none=True)

    def loaded(self, data: dict[str, Any]) -> Any:
        """What is null was not said."""
        return RunRequest(**{name: value for name, value in data.items() if value is not None})


class CreateRun(_RunOptions):
    """Loads a RunRequest."""

    additional_instructions = Text(longest=256_000, allow_none=True)
    additional_messages = ListOf(Object(CreateMessage), allow_none=True)
    reasoning_effort = Choice(*EFFORTS, allow_none=True)


class CreateThreadAndRun(_RunOptions):
    """Loads `(arguments of the thread, RunRequest)`."""

    thread = Object(CreateThread, allow_none=True)
    tool_resources = ToolResources(load_default=None, may_make=False)

    def loaded(self, data: dict[str, Any]) -> Any:
        thread = data.pop("thread", None) or CreateThread().load({})
        return thread, super().loaded(data)


class _ToolOutput(WireSchema):
    tool_call_id = Text(required=True, longest=200)
    output = Text(allow_none=False, load_default=None)


class SubmitToolOutputs(WireSchema):
    """Loads ToolOutputs."""

    tool_outputs = ListOf(Object(_ToolOutput), required=True)
    stream = Flag(allow_none=True, load_default=False)

    def loaded(self, data: dict[str, Any]) -> Any:
        outputs = [(one["tool_call_id"], one["output"]) for one in data["tool_outputs"]]
        return ToolOutputs(outputs=outputs, stream=data["stream"])


class Nothing(WireSchema):
    """A body without arguments, such as a cancel's."""


class ModifyRun(WireSchema):
    metadata = Metadata()


class Run(Answer):
    id = fields.String()
    object = fields.Constant("thread.run")
    created_at = UnixTime()
    assistant_id = fields.String()
    thread_id = fields.String()
    status = Choice(*(status.value for status in RunStatus))
    started_at = UnixTime(allow_none=True)
    expires_at = fields.Function(lambda run: _expires_at(run))
    cancelled_at = UnixTime(allow_none=True)
    failed_at = UnixTime(allow_none=True)
    completed_at = UnixTime(allow_none=True)
    required_action = fields.Raw(allow_none=True)
    last_error = fields.Raw(allow_none=True)
    model = fields.String()
    instructions = fields.String(allow_none=True)
    tools = fields.Raw()
    tool_resources = fields.Raw()
    metadata = fields.Raw()
    temperature = fields.Float()
    top_p = fields.Float()
    max_completion_tokens = fields.Integer(allow_none=True)
    max_prompt_tokens = fields.Integer(allow_none=True)
    truncation_strategy = fields.Raw()
    incomplete_details = fields.Raw(allow_none=True)
    usage = fields.Raw(allow_none=True)
    response_format = fields.Raw()
    tool_choice = fields.Raw()
    parallel_tool_calls = fields.Boolean()
    reasoning_effort = Choice(*EFFORTS, allow_none=True)


# The wire forgets when a run would have expired once it has ended otherwise.
_WITHOUT_EXPIRY = {
    RunStatus.COMPLETED,
    RunStatus.INCOMPLETE,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
}


def _expires_at(run: runs.Run) -> int | None:
    return None if run.status in _WITHOUT_EXPIRY else int(run.expires_at.timestamp())
