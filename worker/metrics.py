"""What a worker counts: claims, calls of the model, and what its sweeps found."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from shared.errors import ModelError
from shared.metrics import OTHER, REGISTRY
from shared.settings import Settings

CLAIMS = Counter("treadle_claims", "Runs that this worker took.", registry=REGISTRY)
RUNS_HELD = Gauge("treadle_runs_held", "Runs that this worker holds now.", registry=REGISTRY)
CONCURRENCY = Gauge(
    "treadle_runs_held_most", "Runs that this worker holds at most.", registry=REGISTRY
)
MODEL_SECONDS = Histogram(
    "treadle_model_seconds",
    "One call of the model, however it ended.",
    ("model",),
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600),
    registry=REGISTRY,
)
TOKENS = Counter(
    "treadle_model_tokens",
    "Tokens that the model server counted: prompt or completion.",
    ("model", "kind"),
    registry=REGISTRY,
)
MODEL_ERRORS = Counter(
    "treadle_model_errors",
    "Calls of the model that failed, by what went wrong.",
    ("kind",),
    registry=REGISTRY,
)
FILES_READ = Counter(
    "treadle_files_read",
    "Files of vector stores that this worker worked on, by how that ended.",
    ("end",),
    registry=REGISTRY,
)
SWEEPS = Counter("treadle_sweeps", "Sweeps that this worker did.", registry=REGISTRY)
SWEPT = Counter(
    "treadle_swept",
    "What this worker's sweeps found and mended.",
    ("found",),
    registry=REGISTRY,
)

for _kind in ModelError.KINDS:
    MODEL_ERRORS.labels(_kind)


def model_label(settings: Settings, served: str) -> str:
    """Models are named by the settings; any other name is a caller's."""
    return served if served in settings.models.values() else OTHER


@contextmanager
def model_call(model: str) -> Generator[None]:
    began = time.monotonic()
    try:
        yield
    except ModelError as error:
        MODEL_ERRORS.labels(error.kind).inc()
        raise
    finally:
        MODEL_SECONDS.labels(model).observe(time.monotonic() - began)


def swept(found: dict[str, int]) -> None:
    SWEEPS.inc()
    for name, number in found.items():
        SWEPT.labels(name).inc(number)


def answered(model: str, usage: dict[str, Any]) -> None:
    for kind in ("prompt", "completion"):
        TOKENS.labels(model, kind).inc(usage[f"{kind}_tokens"])
