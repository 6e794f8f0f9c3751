from hypothesis import given
from hypothesis import strategies as st

from shared.store.chunks import Found
from shared.tokens import estimate
from worker.tools.searching import within


def found(*texts: str) -> list[Found]:
    return [Found("file-1", "a.txt", 1.0, {}, text, "vs_1") for text in texts]


def texts_of(tokens: int, *texts: str) -> list[str]:
    return [result["content"][0]["text"] for result in within(tokens, found(*texts))]


def test_twenty_chunks_as_they_are_cut_fit_into_what_may_be_told() -> None:
    assert len(texts_of(16_000, *["x" * 2400] * 21)) == 20


def test_of_the_best_there_is_as_much_as_fits() -> None:
    assert texts_of(10, "x" * 100, "y") == ["x" * 30]
    assert texts_of(1, "🧵🧵") == []
    assert texts_of(0, "x") == texts_of(-5, "x") == texts_of(10) == []


def test_what_does_not_fit_ends_the_list() -> None:
    assert texts_of(10, "x" * 15, "y" * 30, "z") == ["x" * 15]


@given(st.integers(0, 100), st.lists(st.text(min_size=1, max_size=60), max_size=10))
def test_no_more_is_told_than_fits(tokens: int, texts: list[str]) -> None:
    told = texts_of(tokens, *texts)
    assert sum(map(estimate, told)) <= tokens
    assert told[1:] == texts[1 : len(told)]
