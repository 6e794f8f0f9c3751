"""Settings: the only reader of the environment. Built once per process, validated, handed down.

The model server is never taken from `OPENAI_*`: those are a client's, and a shell that holds a
client's settings must neither make Treadle call itself nor send anything out unasked.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from shared.errors import SettingsError
from shared.readers import Reader, flag, one_of, seconds, url, whole

# Of requests in a minute, of runs that wait.
MOST_OF_A_LIMIT = 1_000_000


def _place(text: str) -> str:
    if "://" in text and not re.fullmatch(r"s3://[\w.-]{3,63}(/[\w.!*'()/-]*)?", text, re.ASCII):
        raise ValueError("must be a directory, or an address like s3://bucket/prefix")
    return text


def _id(*prefixes: str) -> Reader:
    def read(text: str) -> str:
        prefix, _, rest = text.partition("_")
        if prefix not in prefixes or not (rest.isascii() and rest.isalnum()):
            raise ValueError(f"must be an id that begins with {' or '.join(prefixes)}_")
        return text

    return read


def _aliases(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    aliases = {name.strip(): model.strip() for name, _, model in pairs}
    if not all(name and model for name, model in aliases.items()):
        raise ValueError("must look like gpt-4o=qwen3,*=smollm2")
    return aliases


def _setting(env: str, default: Any, read: Reader, about: str) -> Any:
    metadata = {"env": env, "read": read, "about": about}
    if default == {}:
        return field(default_factory=dict[str, str], metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    database_url: str = _setting(
        "DATABASE_URL", "", url("postgresql", "postgres"), "PostgreSQL, the truth"
    )
    redis_url: str = _setting(
        "REDIS_URL", "", url("redis", "rediss", "unix"), "Redis or Valkey: the bell and events"
    )
    model_base_url: str = _setting(
        "TREADLE_MODEL_BASE_URL",
        "",
        url("http", "https", host=True),
        "the model server's OpenAI-compatible base URL, such as http://127.0.0.1:11434/v1",
    )
    model_api_key: str = _setting(
        "TREADLE_MODEL_API_KEY", "none", str, "the key that the model server asks for"
    )
    models: dict[str, str] = _setting(
        "TREADLE_MODELS", {}, _aliases, "model aliases, asked=served: gpt-4o=qwen3,*=smollm2"
    )
    embedding_model: str = _setting(
        "TREADLE_EMBEDDING_MODEL",
        "",
        str,
        "the model for embeddings; none: vector stores are searched by words alone",
    )
    embedding_base_url: str = _setting(
        "TREADLE_EMBEDDING_BASE_URL",
        "",
        url("http", "https", host=True),
        "the server of that model, where it is not the model server",
    )
    embedding_api_key: str = _setting(
        "TREADLE_EMBEDDING_API_KEY",
        "",
        str,
        "the key that it asks for; none: the model server's, if it is that",
    )
    local_embeddings: bool | None = _setting(
        "TREADLE_LOCAL_EMBEDDINGS",
        None,
        flag,
        "whether `treadle up` serves all-MiniLM-L6-v2 for embeddings; none: where neither a model"
        " server nor a model for embeddings is named",
    )
    search_first: bool = _setting(
        "TREADLE_SEARCH_FIRST", False, flag, "search before asking, for models that call no tools"
    )
    home: Path = _setting(
        "TREADLE_HOME", Path(".treadle"), Path, "where `treadle up` keeps its state"
    )
    blobs: str = _setting(
        "TREADLE_BLOBS",
        "",
        _place,
        "the directory with the bytes of files, or s3://bucket/prefix, the same for all APIs and"
        " workers; none: in TREADLE_HOME",
    )
    host: str = _setting("TREADLE_HOST", "127.0.0.1", str, "the address the API listens on")
    port: int = _setting("TREADLE_PORT", 8100, whole(1, 65535), "the port the API listens on")
    metrics_host: str = _setting(
        "TREADLE_METRICS_HOST", "127.0.0.1", str, "the address that /metrics is told on"
    )
    metrics_port: int = _setting(
        "TREADLE_METRICS_PORT",
        0,
        whole(0, 65534),
        "the port that /metrics is told on, by an API or a worker; 0: nowhere",
    )
    api_processes: int = _setting(
        "TREADLE_API_PROCESSES", 2, whole(1, 64), "API processes; one per core is plenty"
    )
    concurrency: int = _setting(
        "TREADLE_CONCURRENCY", 128, whole(1, 2000), "runs that one worker process holds at once"
    )
    database_pool: int = _setting(
        "TREADLE_DATABASE_POOL", 8, whole(2, 64), "PostgreSQL connections of one process"
    )
    unsafe_database: bool = _setting(
        "TREADLE_UNSAFE_DATABASE",
        False,
        flag,
        "start on a PostgreSQL that may lose what it confirmed, as with fsync=off",
    )
    run_seconds: int = _setting(
        "TREADLE_RUN_SECONDS", 600, whole(1, 86400), "a run's life, from creation to expired"
    )
    lease_seconds: float = _setting(
        "TREADLE_LEASE_SECONDS", 15.0, seconds(2, 300), "a silent worker loses its runs after"
    )
    sweep_seconds: float = _setting(
        "TREADLE_SWEEP_SECONDS", 1.5, seconds(0.1, 60), "how often one worker looks for lost runs"
    )
    shutdown_seconds: float = _setting(
        "TREADLE_SHUTDOWN_SECONDS", 1.0, seconds(0, 600), "time for held runs to end on SIGTERM"
    )
    hold_seconds: float = _setting(
        "TREADLE_HOLD_SECONDS", 25.0, seconds(0, 120), "the longest that a poll is held open"
    )
    model_retries: int = _setting(
        "TREADLE_MODEL_RETRIES", 8, whole(0, 100), "repeats of a model call that failed"
    )
    model_concurrency: int = _setting(
        "TREADLE_MODEL_CONCURRENCY",
        0,
        whole(0, 1_000_000),
        "runs of one model that all workers together hold at once; 0: as many as they can",
    )
    model_requests_per_minute: int = _setting(
        "TREADLE_MODEL_REQUESTS_PER_MINUTE",
        0,
        whole(0, MOST_OF_A_LIMIT),
        "what all workers together ask of one served model in a minute; 0: as often as they can",
    )
    model_tokens_per_minute: int = _setting(
        "TREADLE_MODEL_TOKENS_PER_MINUTE",
        0,
        whole(0, 1_000_000_000),
        "tokens of prompts and answers in the same minute; 0: any number",
    )
    context_tokens: int = _setting(
        "TREADLE_CONTEXT_TOKENS", 0, whole(0, 10_000_000), "the model's context; 0: unknown"
    )
    body_bytes: int = _setting(
        "TREADLE_BODY_BYTES", 4 * 1024 * 1024, whole(1024, 1 << 30), "the largest request body"
    )
    file_bytes: int = _setting(
        "TREADLE_FILE_BYTES",
        0,
        whole(0, 1 << 60),
        "bytes that all files of a project may have together; 0: any number",
    )
    idle_seconds: int = _setting(
        "TREADLE_IDLE_SECONDS",
        75,
        whole(1, 3600),
        "a client that neither takes nor sends anything is left after",
    )
    busy_thread: str = _setting(
        "TREADLE_BUSY_THREAD",
        "reject",
        one_of("reject", "queue"),
        "another run or message while a thread's run goes on: reject, or queue",
    )
    requests_per_minute: int = _setting(
        "TREADLE_REQUESTS_PER_MINUTE",
        0,
        whole(0, MOST_OF_A_LIMIT),
        "requests that a key may make in a minute, where it has no limit of its own; 0: any number",
    )
    queued_runs: int = _setting(
        "TREADLE_QUEUED_RUNS",
        0,
        whole(0, MOST_OF_A_LIMIT),
        "runs of a project that may wait for a worker at once; 0: any number",
    )
    running_runs: int = _setting(
        "TREADLE_RUNNING_RUNS",
        0,
        whole(0, MOST_OF_A_LIMIT),
        "runs of a project, where it has no number of its own, worked on at once; 0: any number",
    )
    strict_beta: bool = _setting(
        "TREADLE_STRICT_BETA", False, flag, "demand the header OpenAI-Beta: assistants=v2"
    )
    opengpts_project: str = _setting(
        "TREADLE_OPENGPTS_PROJECT",
        "",
        _id("proj", "key"),
        "the project (or its key's id) whose OpenGPTs calls need no key, only their cookie",
    )
    log_level: str = _setting(
        "TREADLE_LOG_LEVEL", "INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "log level"
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Absent and empty variables take the default. Raises SettingsError with one sentence."""
        values: dict[str, Any] = {}
        for setting in fields(cls):
            name = setting.metadata["env"]
            text = environ.get(name, "").strip()
            if not text:
                continue
            try:
                values[setting.name] = setting.metadata["read"](text)
            except ValueError as error:
                # Addresses hold passwords.
                shown = "" if name.endswith("_URL") or "@" in text else f"; it is {text!r}"
                raise SettingsError(f"{name} {error}{shown}.") from None
        settings = cls(**values)
        if settings.metrics_port == settings.port:
            told = "TREADLE_METRICS_PORT must be another port than TREADLE_PORT"
            raise SettingsError(f"{told}; it is '{settings.port}'.")
        return settings

    def require(self, *names: str) -> Self:
        """Raises SettingsError for the first of these settings that was not given."""
        for setting in fields(self):
            if setting.name in names and not getattr(self, setting.name):
                about = setting.metadata["about"]
                raise SettingsError(f"{setting.metadata['env']} is not set ({about}).")
        return self

    @property
    def blobs_are_in_s3(self) -> bool:
        return self.blobs.startswith("s3://")

    @property
    def blob_directory(self) -> Path:
        return Path(self.blobs) if self.blobs else self.home / "blobs"

    @property
    def embedding_server(self) -> tuple[str, str]:
        """Its base URL, empty where there is none, and the key for it. The model server's key goes
        to no other server."""
        if self.embedding_base_url:
            return self.embedding_base_url, self.embedding_api_key or "none"
        return self.model_base_url, self.embedding_api_key or self.model_api_key

    def served_model(self, asked: str) -> str:
        """The name that the model server knows for the one a run asks for."""
        return self.models.get(asked) or self.models.get("*") or asked
