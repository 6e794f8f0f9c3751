"""What the documents say is what the program does."""

import re
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

from shared.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = [setting.metadata["env"] for setting in fields(Settings)]


@pytest.mark.parametrize("setting", fields(Settings), ids=NAMES)
def test_every_setting_is_in_the_readme_with_its_default(setting: Field[Any]) -> None:
    default = getattr(Settings(), setting.name)
    name = setting.metadata["env"]
    row = re.search(rf"^\| `{name}` \| (.+?) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert row is not None
    assert row[1] == ("none" if default in ("", {}, None) else f"`{default}`")


def test_the_example_environment_names_every_setting_and_no_other() -> None:
    example = (ROOT / "deploy" / "env.example").read_text()
    assert re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE) == NAMES


def test_every_file_that_the_readme_names_exists() -> None:
    named = re.findall(
        r"`((?:tests|deploy|shared|api|worker|cli)/[\w./]*)`", (ROOT / "README.md").read_text()
    )
    assert named
    missing = [path for path in named if not (ROOT / path).exists()]
    assert missing == []
