"""Whatever a line asks of a chat completion, there is a run for it or a refusal."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from api.openai.schemas.completions import CreateCompletion
from api.openai.schemas.faults import first_fault
from shared.errors import Invalid
from tests.integration.test_random_input import JSON

ARGUMENTS = st.fixed_dictionaries({}, optional=dict.fromkeys(CreateCompletion().fields, JSON))
MESSAGES = st.lists(st.fixed_dictionaries({"role": JSON, "content": JSON}), max_size=3)


def load(body: Any) -> Any:
    try:
        return CreateCompletion().load(body)
    except ValidationError as error:
        return first_fault(error.messages_dict)


@settings(max_examples=300, deadline=None)
@given(ARGUMENTS, MESSAGES)
def test_it_is_loaded_or_refused_in_one_sentence(asked: Any, messages: Any) -> None:
    for body in (asked, {"model": "m", **asked, "messages": messages}):
        loaded = load(body)
        if isinstance(loaded, Invalid):
            assert loaded.message
        else:
            said, options = loaded
            assert options.model
            assert {one.role for one in said} <= {"user", "assistant"}


def test_what_the_system_says_first_are_the_instructions() -> None:
    messages = [
        {"role": "system", "content": "One."},
        {"role": "developer", "content": "Two."},
        {"role": "user", "content": "Three?"},
    ]
    said, options = CreateCompletion().load({"model": "m", "messages": messages})
    assert options.instructions == "One.\nTwo."
    assert [one.role for one in said] == ["user"]
    with pytest.raises(ValidationError):
        CreateCompletion().load({"model": "m", "messages": messages[::-1]})
