import pytest

from cli.embedded.question import CLEANING, Question, alias_to_ask, model_to_ask
from shared.settings import Settings


@pytest.mark.parametrize("question", [Question("gpt-4o"), Question('a "model"', calm=True)])
def test_the_program_is_one_that_python_can_read_and_short(question: Question) -> None:
    compile(question.program + CLEANING, "program", "exec")
    assert len(question.program.splitlines()) <= 8


def test_a_name_that_stands_for_any_model_is_preferred() -> None:
    assert alias_to_ask(Settings(models={"*": "smollm2", "other": "qwen3"})) == "gpt-4o"
    assert alias_to_ask(Settings(models={"mini": "qwen3"})) == "mini"
    assert alias_to_ask(Settings()) is None


def test_a_model_server_that_cannot_be_asked_names_no_model() -> None:
    assert model_to_ask(Settings(model_base_url="http://127.0.0.1:1/v1")) is None
