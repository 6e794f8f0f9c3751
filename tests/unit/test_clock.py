"""Whose clock decides: PostgreSQL's, and `monotonic` for how long something takes. A machine whose
wall clock is wrong may show a wrong time and must do nothing wrong."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WALL = re.compile(r"\btime\.time\(|\btime_ns\(|datetime\.(now|today|utcnow)\(|date\.today\(")

# What reads the wall clock, and decides nothing by it.
SHOWN = {
    "api/opengpts/streams.py": "a comment that keeps a connection alive",
    "api/openai/bodies.py": "when a run began that never did, in a stream that says so",
    "api/openai/projection.py": "when a step ended that was never stored",
    "api/polling.py": "how soon to ask again, within bounds",
    "shared/ids.py": "the first characters of an id; order is kept by sequences",
    "shared/rests.py": "the wait until an instant, where a model server tells no Date",
}


def test_nothing_is_decided_by_the_wall_clock() -> None:
    found = {
        str(path.relative_to(ROOT))
        for part in ("api", "shared", "worker")
        for path in (ROOT / part).rglob("*.py")
        if WALL.search(path.read_text())
    }
    assert found == set(SHOWN)
