"""Asks the vulnerability service that uv knows about every package that requirements.lock pins.

One request for all of them, by `uv audit`, which needs a project of its own: that is made for the
moment, with the pins as they are, so that nothing is resolved anew. Where the service cannot be
reached, this says that nothing was asked, and ends with NOT_DONE. Arguments go to uv.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_DONE = 75
UNREACHED = ("error sending request", "HTTP status", "requires network access", "timed out")
AUDIT = ["audit", "--frozen", "--output-format", "json"]
AUDIT += ["--preview-features", "audit-command,json-output"]
PROJECT = '[project]\nname = "pins"\nversion = "0"\nrequires-python = ">=3.11"\n'


def main(arguments: list[str]) -> int:
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([\w.-]+)==([^ \n]+)", lock, re.MULTILINE)
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "pyproject.toml").write_text(PROJECT)
        (Path(directory) / "uv.lock").write_text(locked(pins))
        answer = ask(directory, arguments)
    if answer.returncode == 2 and any(words in answer.stderr for words in UNREACHED):
        print(f"audit: NOT DONE, the service cannot be reached:\n{answer.stderr.strip()}")
        return NOT_DONE
    try:
        return told(json.loads(answer.stdout), len(pins))
    except (KeyError, ValueError):
        print(f"audit: uv answered with {answer.returncode}:\n{answer.stderr.strip()}")
        return 1


def locked(pins: list[tuple[str, str]]) -> str:
    """A uv.lock without addresses or hashes: enough to be asked about, not to be installed from."""
    packages = [
        f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "." }}\n'
        for name, version in pins
    ]
    names = ", ".join(f'{{ name = "{name}" }}' for name, _ in pins)
    project = '[[package]]\nname = "pins"\nversion = "0"\nsource = { virtual = "." }\n'
    head = 'version = 1\nrequires-python = ">=3.11"\n'
    return "\n".join([head, *packages, f"{project}dependencies = [{names}]\n"])


def ask(directory: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    uv = Path(sys.executable).with_name("uv")
    patience = {"UV_HTTP_RETRIES": "1", "UV_HTTP_TIMEOUT": "20"}
    return subprocess.run(
        [uv, *AUDIT, *arguments],
        cwd=directory,
        env={**os.environ, **patience},
        capture_output=True,
        text=True,
        check=False,
    )


def told(report: dict, asked: int) -> int:
    """1 if anything is known against a package, or if the service was not asked about all."""
    audited, found = report["summary"]["audited_packages"], report["vulnerabilities"]
    for one in found:
        package = one["dependency"]
        fixed = ", ".join(one["fix_versions"]) or "nowhere yet"
        print(f"{package['name']} {package['version']}: {one['display_id']} {one['summary']}")
        print(f"  mended in {fixed}; {one['link']}")
    print(f"audit: {audited} of {asked} packages asked about, {len(found)} known vulnerabilities")
    return int(bool(found) or audited != asked)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
