"""What callers ask of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.store.messages import NewMessage
from shared.store.runs import AskedOptions


@dataclass(frozen=True, kw_only=True)
class RunRequest(AskedOptions):
    assistant_id: str
    additional_messages: Sequence[NewMessage] | None = None
    stream: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolOutputs:
    """Pairs of call id and output."""

    outputs: Sequence[tuple[str, str | None]]
    stream: bool = False
