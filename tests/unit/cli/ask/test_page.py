"""The page for those who ask: what it tells to type is what works."""

import re
from pathlib import Path

import orjson

from cli.ask.command import ask
from cli.ask.questions import KNOWN, Question, of_object

PAGE = (Path(__file__).parents[4] / "docs" / "ask.md").read_text()


def test_it_tells_every_option_and_no_other() -> None:
    options = {name for option in ask.params for name in option.opts if name.startswith("--")}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) | {"--output"} == options


def test_it_tells_every_field_of_a_question() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE))
    assert told >= KNOWN


def test_its_questions_can_be_asked() -> None:
    (block, _) = re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL)
    for line, text in enumerate(block.splitlines()):
        assert isinstance(of_object(line, orjson.loads(text)), Question)
