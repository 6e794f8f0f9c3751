"""From a bare Python 3 to a running Treadle: `bootstrap.py run|test|faults|bench|check|setup|...`.

Needs Python >= 3.8 with pip, or uv. Everything goes into `.venv` and `.tools` of the checkout, in
the versions and with the hashes of requirements.lock. Nothing is installed twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = os.path.join(ROOT, "requirements.lock")
TOOLS = os.path.join(ROOT, ".tools")
VENV = os.path.join(ROOT, ".venv")
BIN = os.path.join(VENV, "bin")
STAMP = os.path.join(VENV, "treadle.json")
BEGAN = time.monotonic()

NO_PIP = """\
Neither uv nor pip nor venv is here, and one of them is needed to install anything.
On Debian and Ubuntu, as root:  apt-get install python3-pip
Elsewhere: install uv (https://docs.astral.sh/uv/) or pip for {python}."""
NO_PYTHON = """\
Treadle needs Python 3.11 or newer; this is {version}, no newer one was found, and uv could not
fetch one. Install one (Debian 12 and Ubuntu 24.04 have it: apt-get install python3) and repeat."""

# `dev` is the development group, the others are extras.
TO_WORK = {"embedded", "s3", "dev"}
YES = ("1", "true", "yes", "on")
PARALLEL = ["-n", "2", "--dist", "loadgroup"]
COMPILE = (
    "pip compile pyproject.toml --universal --generate-hashes --all-extras --group dev"
    " -o requirements.lock --python-version 3.11"
)


class SetupError(Exception):
    """The start cannot go on; the text says why and what to do."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bootstrap.py", description=__doc__)
    parser.add_argument("command", choices=sorted(COMMANDS))
    known, rest = parser.parse_known_args(arguments)
    try:
        return COMMANDS[known.command](rest)
    except SetupError as problem:
        print(f"\n{problem}", file=sys.stderr)
    except PermissionError as error:
        print(f"\n{error}. Was it made by another user? Remove it and repeat.", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
    return 1


def run(rest: list[str]) -> int:
    install(parts_to_run(os.environ))
    return become("treadle", "up", *rest)


def test(rest: list[str]) -> int:
    chosen = any(re.match(r"-n|--numprocesses", word) for word in rest)
    return work("-m", "pytest", *([] if chosen else PARALLEL), *rest)


def faults(rest: list[str]) -> int:
    """`--seeds 10` plays ten schedules."""
    return work("-m", "tests.faults", *rest)


def bench(rest: list[str]) -> int:
    """`--only streams --times 5 --json figures.json`."""
    return work("-m", "tests.bench", *rest)


def check(_: list[str]) -> int:
    return work("deploy/checks.py")


def licences(_: list[str]) -> int:
    return work("deploy/licences.py", more=("model",))


def setup(_: list[str]) -> int:
    install(TO_WORK | {"model"})
    say("ready: `make run`, `make test`, or .venv/bin/treadle --help")
    return 0


def lock(rest: list[str]) -> int:
    """Writes requirements.lock anew; `--upgrade` takes newer versions."""
    command = [find_uv(), *COMPILE.split(), "--quiet", *rest]
    return subprocess.call(command, cwd=ROOT, env=uv_environment())


COMMANDS = {one.__name__: one for one in (run, test, faults, bench, check, setup, lock, licences)}


def work(*words: str, more: tuple[str, ...] = ()) -> int:
    """Python, in the checkout, with what work on it needs."""
    install(TO_WORK.union(more))
    os.chdir(ROOT)
    return become("python", *words)


def parts_to_run(environ) -> set[str]:
    """The extras for `treadle up`: what the environment names is not installed, unless it asks."""
    parts = set()
    if not (environ.get("DATABASE_URL") and environ.get("REDIS_URL")):
        parts.add("embedded")
    local = environ.get("TREADLE_LOCAL_EMBEDDINGS", "").strip().lower() in YES
    if local or not environ.get("TREADLE_MODEL_BASE_URL"):
        parts.add("model")
    if environ.get("TREADLE_BLOBS", "").startswith("s3://"):
        parts.add("s3")
    return parts


def install(parts: set[str]) -> None:
    """Makes .venv hold these extras (`dev` is the development group) beside what it holds."""
    wanted = fingerprint()
    known = read_stamp() if runs_here() else {}
    have = set(known.get("parts", []))
    if known.get("fingerprint") == wanted and parts <= have:
        return
    uv = find_uv()
    make_venv(uv)
    parts = parts | have
    extras = ",".join(sorted(parts - {"dev"}))
    command = [uv, "pip", "install", "--python", os.path.join(BIN, "python")]
    command += ["--constraint", LOCK, "--editable", f".[{extras}]"]
    command += ["--group", "dev"] if "dev" in parts else []
    say("installing packages; the first time, up to 280 MB are downloaded")
    if relay(command) != 0:
        raise SetupError("The packages could not be installed; the lines above say why.")
    write_stamp({"root": ROOT, "fingerprint": wanted, "parts": sorted(parts)})
    say("installed")


def fingerprint() -> str:
    """Changes when .venv may need other packages."""
    digest = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def read_stamp() -> dict:
    """What .venv is known to hold; empty if nothing is known."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def write_stamp(stamp: dict) -> None:
    with open(STAMP, "w", encoding="utf-8") as file:
        json.dump(stamp, file)


def runs_here() -> bool:
    """Whether .venv has a Python new enough that still runs, and was not copied from elsewhere."""
    test = "import sys; sys.exit(sys.version_info < (3, 11))"
    python = os.path.join(BIN, "python")
    here = read_stamp().get("root", ROOT) == ROOT
    return here and os.path.exists(python) and quiet([python, "-I", "-S", "-c", test])


def make_venv(uv: str) -> None:
    """Keeps one that works, whoever made it."""
    if runs_here():
        return
    asked = sys.executable if sys.version_info >= (3, 11) else ">=3.11"
    say(f"making .venv with Python {asked}")
    command = [uv, "venv", "--quiet", "--clear", "--python", asked, VENV]
    if subprocess.call(command, cwd=ROOT, env=uv_environment()) != 0:
        raise SetupError(NO_PYTHON.format(version=sys.version.split()[0]))


def find_uv() -> str:
    """The one on PATH if it is of the locked series, else the locked one, fetched by pip."""
    version, block = locked("uv")
    own = os.path.join(TOOLS, f"uv-{version}", "bin", "uv")
    for found in (own, shutil.which("uv")):
        if found and of_series(found, version):
            return found
    say(f"fetching uv {version} into .tools")
    fetch_uv(os.path.dirname(os.path.dirname(own)), block)
    if not of_series(own, version):
        raise SetupError(f"uv was installed but does not run: {own}")
    return own


def of_series(uv: str, version: str) -> bool:
    """Whether this uv runs and builds the project itself, as its own series only does."""
    try:
        answer = subprocess.run([uv, "--version"], stdout=subprocess.PIPE, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    found, least = (numbers(text) for text in (answer.decode(), version))
    return found[:2] == least[:2] and found >= least


def numbers(text: str) -> list[int]:
    found = re.search(r"\d+\.\d+\.\d+", text)
    return [int(number) for number in found.group().split(".")] if found else []


def uv_environment() -> dict[str, str]:
    """uv trusts authorities of its own; where the system names some, those count instead. It caches
    below the home directory; where that cannot be written, in .tools."""
    ours = {}
    if ssl.get_default_verify_paths().cafile:
        ours["UV_SYSTEM_CERTS"] = "true"
    if not os.access(os.path.expanduser("~"), os.W_OK):
        ours["UV_CACHE_DIR"] = os.path.join(TOOLS, "cache")
    return {**ours, **os.environ}


def fetch_uv(target: str, block: str) -> None:
    os.makedirs(TOOLS, exist_ok=True)
    requirement = os.path.join(TOOLS, "uv.txt")
    with open(requirement, "w", encoding="utf-8") as file:
        file.write(block)
    draft = f"{target}.new"
    shutil.rmtree(draft, ignore_errors=True)
    command = [*pip(), "install", "--quiet", "--require-hashes", "--no-deps", "--only-binary"]
    command += [":all:", "--target", draft, "--requirement", requirement]
    settings = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    if subprocess.call(command, env={**os.environ, **settings}) != 0:
        raise SetupError("pip could not fetch uv; the lines above say why.")
    shutil.rmtree(target, ignore_errors=True)
    os.rename(draft, target)


def pip() -> list[str]:
    """This Python's pip, or that of a new venv, without touching what the system manages."""
    if quiet([sys.executable, "-m", "pip", "--version"]):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    place = os.path.join(TOOLS, "pip")
    if quiet([sys.executable, "-m", "venv", "--clear", place]):
        return [os.path.join(place, "bin", "python"), "-m", "pip", "--disable-pip-version-check"]
    raise SetupError(NO_PIP.format(python=sys.executable))


def quiet(command: list[str]) -> bool:
    nothing = subprocess.DEVNULL
    return subprocess.call(command, stdout=nothing, stderr=nothing) == 0


def locked(name: str) -> tuple[str, str]:
    """The version of a package in requirements.lock, and its requirement with all hashes."""
    with open(LOCK, encoding="utf-8") as file:
        text = file.read()
    pattern = rf"^{re.escape(name)}==([^ ;\\\n]+)[^\n]*(?:\n    --hash=[^\n]+)+\n"
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise SetupError(f"requirements.lock has no hashes for {name}: run `make lock`.")
    return found.group(1), found.group()


def relay(command: list[str]) -> int:
    """Runs uv and shows what it does, with the time, but not the list of every package."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=uv_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout or ():
        if line.strip() and not re.match(r" [-+~] |Using Python", line):
            say(line.strip())
    return process.wait()


def become(program: str, *arguments: str) -> int:
    sys.stdout.flush()
    path = os.path.join(BIN, program)
    os.execv(path, [path, *arguments])


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:5.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
