from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.cli.scripts import a_script

LOCK = """\
# Made by uv.
click==8.5.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via
    #   treadle (pyproject.toml)
    #   celery
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:cc
    # via click
pytest==9.2.0 \\
    --hash=sha256:dd
    # via treadle (pyproject.toml:dev)
pluggy==1.7.0 \\
    --hash=sha256:ee
    # via pytest
"""


@pytest.fixture
def licences() -> ModuleType:
    return a_script("licences")


class Installed(Distribution):
    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


def test_the_lock_says_what_is_pinned_and_who_needs_it(licences: ModuleType) -> None:
    assert licences.pins(LOCK) == [
        ("click", "8.5.1", {"treadle (pyproject.toml)", "celery"}),
        ("pytest", "9.2.0", {"treadle (pyproject.toml:dev)"}),
        ("pluggy", "1.7.0", {"pytest"}),
    ]


def test_a_package_belongs_to_whoever_reaches_it(licences: ModuleType) -> None:
    assert licences.reached({"pytest"}, licences.pins(LOCK)) == {"pytest", "pluggy"}


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: MIT AND PSF-2.0", "MIT AND PSF-2.0"),
        ("License: BSD-3-Clause", "BSD-3-Clause"),
        ("License: MIT License", "MIT"),
        ("License: Apache 2.0", "Apache-2.0"),
        ("Classifier: License :: OSI Approved :: BSD License", "BSD"),
        (
            "License: Dual License\n"
            "Classifier: License :: OSI Approved :: BSD License\n"
            "Classifier: License :: OSI Approved :: Apache Software License",
            "BSD / Apache-2.0",
        ),
        ("License: Commercial", "Commercial"),
        ("Name: nothing", ""),
    ],
)
def test_licences_go_by_their_names_in_spdx(
    licences: ModuleType, metadata: str, licence: str
) -> None:
    assert licences.licence_of(Installed(f"Metadata-Version: 2.4\n{metadata}\n")) == licence


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Commercial", ""])
def test_a_licence_that_nobody_accepted_is_refused(
    licences: ModuleType, monkeypatch: pytest.MonkeyPatch, licence: str
) -> None:
    monkeypatch.setattr(licences, "installed_licence", lambda _: licence)
    with pytest.raises(licences.UnknownError, match=r"click 8\.5\.1 is under"):
        licences.line_of(licences.pins(LOCK)[0], "")


def test_what_is_not_installed_here_keeps_the_line_of_its_version(licences: ModuleType) -> None:
    absent = licences.Pin("no-such-package", "1.0", set())
    known = "| no-such-package | 1.0 | MIT |\n"
    assert licences.line_of(absent, known) == "| no-such-package | 1.0 | MIT |"
    with pytest.raises(licences.UnknownError, match="not installed here"):
        licences.line_of(absent._replace(version="1.1"), known)


def test_the_list_names_every_package_that_is_pinned(licences: ModuleType) -> None:
    listed = licences.LIST.read_text()
    pinned = licences.pins((licences.ROOT / "requirements.lock").read_text())
    assert len(pinned) > 100
    assert [pin.name for pin in pinned if f"| {pin.name} | {pin.version} |" not in listed] == []
