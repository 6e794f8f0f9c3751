"""`python -m tests.hostile`: every trick on every route, and a table of the statuses."""

import sys
import tempfile
from pathlib import Path

from tests.hostile.play import play, table

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="treadle-hostile-") as directory:
        played = play(Path(directory))
    sys.stdout.write(f"{table(played)}\n")
    sys.exit(any(one.outcome.flaw for one in played))
