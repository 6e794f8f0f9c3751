"""What a worker counts: claims, files, and what its sweeps found."""

from prometheus_client import Counter, Gauge

from shared.metrics import REGISTRY

CLAIMS = Counter("treadle_claims", "Runs that this worker took.", registry=REGISTRY)
RUNS_HELD = Gauge("treadle_runs_held", "Runs that this worker holds now.", registry=REGISTRY)
CONCURRENCY = Gauge(
    "treadle_runs_held_most", "Runs that this worker holds at most.", registry=REGISTRY
)
RUNS_AT_WORK = Gauge(
    "treadle_runs_at_work",
    "Runs that this worker holds and that do not wait for the model server.",
    registry=REGISTRY,
)
CROWD = Gauge(
    "treadle_runs_at_work_most",
    "Runs at work in this worker that make a crowd: it takes up none.",
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


def swept(found: dict[str, int]) -> None:
    SWEEPS.inc()
    for name, number in found.items():
        SWEPT.labels(name).inc(number)
