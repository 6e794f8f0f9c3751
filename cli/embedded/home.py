"""TREADLE_HOME: one `treadle up` at a time, and the file with what a client needs."""

import fcntl
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cli.embedded.processes import StartError
from shared.db import Database
from shared.store import callers
from shared.store.callers import Key

KEY_NAME = "treadle up"


@dataclass(frozen=True)
class Home:
    directory: Path

    def create(self) -> None:
        """Root's may be passed through: PostgreSQL's own directory inside it belongs to nobody."""
        mode = 0o711 if os.geteuid() == 0 else 0o700
        self.directory.mkdir(mode=mode, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def lock(self) -> TextIO:
        """Held until the file is closed, so by no more than the life of this process."""
        file = (self.directory / "lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                holder = file.read().strip()
            raise StartError(
                f"Treadle already runs in {self.directory} (process {holder}): "
                "stop it first, or set TREADLE_HOME and TREADLE_PORT to start another."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def client_env(self) -> Path:
        return self.directory / "client.env"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def client_settings(self) -> dict[str, str]:
        """What client.env exports; empty where there is none that can be read."""
        try:
            words = shlex.split(self.client_env.read_text(encoding="utf-8"), comments=True)
        except (FileNotFoundError, ValueError):
            return {}
        return dict(word.split("=", 1) for word in words if "=" in word)

    def write_client_settings(self, base_url: str, key: str) -> None:
        """Whole or not at all, and never readable by others, not even for a moment."""
        draft = self.client_env.with_name("client.env.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
            file.write(f"export OPENAI_BASE_URL={shlex.quote(base_url)}\n")
            file.write(f"export OPENAI_API_KEY={shlex.quote(key)}\n")
        draft.replace(self.client_env)

    def first_key(self, database_url: str) -> tuple[Key, str]:
        """The key in client.env if this database knows it, a new one if not; with its secret."""
        secret = self.client_settings().get("OPENAI_API_KEY", "")
        with Database(database_url, 2) as database, database.transaction() as tx:
            known = callers.find(tx, secret) if secret else None
            return (known, secret) if known else callers.create(tx, KEY_NAME)
