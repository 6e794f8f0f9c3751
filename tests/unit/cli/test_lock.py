"""What the lock pins is what the project needs, all of it: only that is verified by its hash."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _pinned() -> dict[str, Version]:
    text = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


def _asked_for() -> list[Requirement]:
    project = PROJECT["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    groups = [line for lines in PROJECT["dependency-groups"].values() for line in lines]
    return [Requirement(line) for line in [*project["dependencies"], *extras, *groups]]


def _needed_by(requirement: Requirement) -> list[Requirement]:
    """What the installed package asks for in turn; nothing for one that is not installed here."""
    try:
        lines = requires(requirement.name) or []
    except PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    extras = requirement.extras or {""}
    return [
        one
        for one in found
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def test_every_package_that_treadle_needs_is_pinned_at_a_version_that_suits() -> None:
    pinned = _pinned()
    bare = {entry["name"] for entry in PROJECT["tool"]["uv"]["dependency-metadata"]}
    waiting, seen = _asked_for(), set[str]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{requirement} is not in requirements.lock: run `make lock`"
        assert requirement.specifier.contains(pinned[name], prereleases=True), str(requirement)
        if str(requirement) not in seen and name not in bare:
            waiting += _needed_by(requirement)
        seen.add(str(requirement))
