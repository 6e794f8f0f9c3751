from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ModelError
from shared.run_state import RunStatus
from shared.store.history import Said
from shared.store.run_steps import RunStep
from shared.store.runs import Run
from shared.tokens import estimate
from worker import prompt
from worker.prompt import ChatMessage
from worker.tokens import Count

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_run(**options: Any) -> Run:
    values: dict[str, Any] = dict.fromkeys(Run.__dataclass_fields__)
    values |= {
        "id": "run_1",
        "created_at": NOW,
        "expires_at": NOW,
        "status": RunStatus.IN_PROGRESS,
        "instructions": "Be brief.",
        "truncation_strategy": {"type": "auto", "last_messages": None},
    }
    return Run(**values | options)


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": {"value": value, "annotations": []}}


def said(*texts: str) -> list[Said]:
    """Messages of the two sides in turn."""
    sides = ("user", "assistant")
    return [Said(sides[number % 2], [text(value)]) for number, value in enumerate(texts)]


def contents(chat: list[ChatMessage]) -> list[str]:
    return [message["content"] for message in chat if message["role"] != "system"]


def cost(*texts: str, count: Count = estimate) -> int:
    """Of messages without tools, as the prompt reckons it."""
    return 8 * len(texts) + count("\n".join(["[]", *texts]))


def cost_of(chat: list[ChatMessage]) -> int:
    return cost(*(message["content"] for message in chat))


def test_instructions_come_first_and_the_conversation_in_order() -> None:
    assert prompt.build(a_run(), said("Why?", "Because.", "Really?"), 0) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because."},
        {"role": "user", "content": "Really?"},
    ]


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_instructions_there_is_no_system_message(nothing: str | None) -> None:
    chat = prompt.build(a_run(instructions=nothing), said("Why?"), 0)
    assert chat == [{"role": "user", "content": "Why?"}]


def test_an_empty_thread_is_only_the_instructions() -> None:
    assert prompt.build(a_run(max_prompt_tokens=256), [], 4096) == [
        {"role": "system", "content": "Be brief."}
    ]


def test_last_messages_says_how_many_are_told() -> None:
    strategy = {"type": "last_messages", "last_messages": 3}
    assert prompt.last_messages(a_run(truncation_strategy=strategy)) == 3
    assert prompt.last_messages(a_run()) is None


def test_text_parts_are_joined_and_a_refusal_is_text() -> None:
    spoken = [
        Said("user", [text("one"), text("two")]),
        Said("assistant", [{"type": "refusal", "refusal": "No."}]),
    ]
    assert contents(prompt.build(a_run(), spoken, 0)) == ["one\ntwo", "No."]


def test_images_are_shown_beside_the_text_in_their_order() -> None:
    image = {
        "type": "image_url",
        "image_url": {"url": "https://example.org/a.png", "detail": "low"},
    }
    (_, message) = prompt.build(a_run(), [Said("user", [text("Look:"), image, text("So?")])], 0)
    assert message == {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look:"},
            {
                "type": "image_url",
                "image_url": {"url": "https://example.org/a.png", "detail": "low"},
            },
            {"type": "text", "text": "So?"},
        ],
    }


def test_a_file_that_cannot_be_shown_is_refused_with_a_reason() -> None:
    file = {"type": "image_file", "image_file": {"file_id": "file-x", "detail": "auto"}}
    with pytest.raises(ModelError, match="image_file") as caught:
        prompt.build(a_run(), [Said("user", [file])], 0)
    assert (caught.value.code, caught.value.transient) == ("invalid_prompt", False)


def test_tokens_are_estimated_high_rather_than_low() -> None:
    for sample in ("word " * 100, "语言模型" * 100, "😀" * 100, '{"a": [1, 2, 3]}' * 50):
        assert estimate(sample) >= len(sample.encode()) // 4


def test_an_image_costs_a_thousand_tokens_and_tools_what_they_say() -> None:
    image = {"type": "image_url", "image_url": {"url": "x"}}
    told = [*said("one"), Said("user", [image])]
    asked = {"instructions": None, "tools": []}
    assert len(prompt.build(a_run(max_prompt_tokens=1030, **asked), told, 0)) == 2
    assert len(prompt.build(a_run(max_prompt_tokens=1000, **asked), told, 0)) == 1
    tools = [{"type": "function", "function": {"name": "x" * 600}}]
    texts = said("x" * 300, "x" * 300)
    assert len(prompt.build(a_run(max_prompt_tokens=256), texts, 0)) == 3
    assert len(prompt.build(a_run(max_prompt_tokens=256, tools=tools), texts, 0)) == 2


def test_where_tokens_can_be_counted_the_count_decides() -> None:
    texts = ["word " * 60 for _ in range(10)]
    words = lambda text: len(text.split())  # noqa: E731
    run = a_run(max_prompt_tokens=300, instructions=None)
    assert len(prompt.build(run, said(*texts), 0)) == 2
    assert len(prompt.build(run, said(*texts), 0, count=words)) == 4


def test_a_prompt_that_fits_with_a_token_for_each_byte_is_not_counted() -> None:
    def count(_: str) -> int:
        raise AssertionError

    assert len(prompt.build(a_run(), said("x" * 900, "y"), 4096, count=count)) == 3


def test_nothing_is_dropped_where_the_context_is_unknown_or_large_enough() -> None:
    long = said(*["x" * 3000] * 50)
    assert len(prompt.build(a_run(), long, 0)) == 51
    assert len(prompt.build(a_run(), long, 200_000)) == 51


def test_the_middle_is_dropped_first() -> None:
    texts = [f"{number}" + "x" * 297 for number in range(10)]
    budget = cost("Be brief.", texts[0], *texts[-3:])
    chat = prompt.build(a_run(max_prompt_tokens=budget), said(*texts), 0)
    assert chat[0]["role"] == "system"
    assert contents(chat) == [texts[0], *texts[-3:]]


def test_a_first_message_that_does_not_fit_leaves_its_room_to_the_newest() -> None:
    texts = ["x" * 30_000, "one", "two", "three", "four"]
    chat = prompt.build(a_run(max_prompt_tokens=1000), said(*texts), 0)
    assert contents(chat) == ["one", "two", "three", "four"]


def test_the_newest_message_is_told_whatever_it_costs() -> None:
    chat = prompt.build(a_run(max_prompt_tokens=256), said("a", "b", "x" * 30_000), 0)
    assert contents(chat) == ["x" * 30_000]


def test_the_answer_has_its_share_of_the_context() -> None:
    texts = ["x" * 300] * 40
    half = prompt.build(a_run(max_completion_tokens=1500), said(*texts), 3000)
    more = prompt.build(a_run(max_completion_tokens=500), said(*texts), 3000)
    unsaid = prompt.build(a_run(), said(*texts), 3000)
    assert cost_of(half) <= 1500
    assert 1500 < cost_of(more) <= 2500
    assert 1500 < cost_of(unsaid) <= 2500


def test_the_smaller_of_two_limits_counts() -> None:
    texts = ["x" * 300] * 40
    for run, context in (
        (a_run(max_prompt_tokens=600), 8000),
        (a_run(max_prompt_tokens=8000), 800),
    ):
        assert cost_of(prompt.build(run, said(*texts), context)) <= 600


@given(
    texts=st.lists(st.text(max_size=200) | st.integers(0, 3000).map("x".__mul__), max_size=20),
    budget=st.integers(256, 3000),
    instructions=st.none() | st.text(max_size=300),
)
def test_a_prompt_keeps_its_order_and_its_budget(
    texts: list[str], budget: int, instructions: str | None
) -> None:
    numbered = [f"{number}:{value}" for number, value in enumerate(texts)]
    run = a_run(max_prompt_tokens=budget, instructions=instructions)
    chat = prompt.build(run, said(*numbered), 0)
    kept = contents(chat)
    assert [one for one in numbered if one in kept] == kept
    assert kept[-1:] == numbered[-1:]
    if len(kept) > 1:
        assert cost_of(chat) <= budget
    # What is left out stands together: behind the first message or before all that is kept.
    suffix = kept[1:] if kept[:1] == numbered[:1] else kept
    assert suffix == numbered[len(numbered) - len(suffix) :]


@given(
    texts=st.lists(st.integers(0, 900).map("x".__mul__), min_size=2, max_size=12),
    budget=st.integers(256, 1500),
)
def test_no_more_is_dropped_than_must_be(texts: list[str], budget: int) -> None:
    numbered = [f"{number}:{value}" for number, value in enumerate(texts)]
    run = a_run(max_prompt_tokens=budget, instructions=None)
    kept = contents(prompt.build(run, said(*numbered), 0))
    if len(kept) == len(numbered):
        return
    newest_dropped = [one for one in numbered if one not in kept][-1]
    assert cost(*kept, newest_dropped) > budget


SEARCHING: Any = {"tools": [{"type": "file_search"}]}


def a_search(*texts: str, **more: Any) -> RunStep:
    results = [
        {"file_name": f"{number}.txt", "content": [{"type": "text", "text": value}]}
        for number, value in enumerate(texts)
    ]
    search = {"query": "why", "turn": 1, "results": results, **more}
    call = {"id": "call_1", "type": "file_search", "file_search": search}
    values: dict[str, Any] = dict.fromkeys(RunStep.__dataclass_fields__)
    details = {"type": "tool_calls", "tool_calls": [call]}
    return RunStep(**values | {"type": "tool_calls", "step_details": details})


def test_a_search_is_told_as_a_call_and_what_it_found() -> None:
    chat = prompt.build(a_run(**SEARCHING), said("Why?"), 0, [a_search("Because.", "So.")])
    function = {"name": "file_search", "arguments": '{"query":"why"}'}
    assert chat[2] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    assert (chat[3]["role"], chat[3]["tool_call_id"]) == ("tool", "call_1")
    told = chat[3]["content"].split("\n\n")
    assert told[1:] == ["【1:0†0.txt】\nBecause.", "【1:1†1.txt】\nSo."]
    assert "【1:0†0.txt】" in told[0]


def test_a_search_that_nobody_asked_for_stands_before_the_question() -> None:
    step = a_search("Because.", unasked=True)
    system, question = prompt.build(a_run(**SEARCHING), said("Why?"), 0, [step])
    assert system["content"] == "Be brief."
    assert question["role"] == "user"
    assert question["content"].endswith("【1:0†0.txt】\nBecause.\n\nWhy?")
    bare = prompt.build(a_run(instructions=None, **SEARCHING), said("Why?"), 0, [a_search()])
    assert bare[-1]["content"] == "Nothing was found in the files."


def test_a_search_that_nobody_asked_for_stands_before_a_question_with_an_image() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://images/loom.png"}}
    question = replace(said("Why?")[0], content=[*said("Why?")[0].content, image])
    step = a_search("Because.", unasked=True)
    parts = prompt.build(a_run(**SEARCHING), [question], 0, [step])[-1]["content"]
    assert [part["type"] for part in parts] == ["text", "text", "image_url"]
    assert parts[0]["text"].endswith("【1:0†0.txt】\nBecause.")


def test_a_search_that_nobody_asked_for_stands_behind_the_instructions_where_no_question_is_last() -> (
    None
):
    answered = [said("Why?")[0], replace(said("Because.")[0], role="assistant")]
    step = a_search("So.", unasked=True)
    system, *rest = prompt.build(a_run(**SEARCHING), answered, 0, [step])
    assert system["content"].startswith("Be brief.\n\n")
    assert system["content"].endswith("【1:0†0.txt】\nSo.")
    assert contents(rest) == ["Why?", "Because."]


def test_what_was_found_takes_the_place_of_older_messages() -> None:
    texts = ["x" * 300] * 20
    run = a_run(max_prompt_tokens=1500, **SEARCHING)
    kept = [
        len(contents(prompt.build(run, said(*texts), 0, steps)))
        for steps in ([], [a_search("y" * 1500)])
    ]
    assert kept[1] < kept[0]
