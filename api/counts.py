"""The counts of several API processes, which are one to whoever reads them: each keeps its own in
files of one directory (the multiprocess mode of prometheus_client), and any of them can add up all.

A process that ended leaves its counts to one that is started later, so that no sum ever falls and
no file is left over, however many are started. What it held at its end is gone with it. All this
is done by gunicorn's first process, which has loaded nothing that gevent has yet to patch.
"""

import shutil
import tempfile
from pathlib import Path

_LASTING = ("counter", "histogram")


class Counts:
    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="treadle-metrics-"))
        self._left: list[int] = []

    def environment(self) -> list[str]:
        """By which prometheus_client finds the directory, when it is loaded."""
        return [f"PROMETHEUS_MULTIPROC_DIR={self.directory}"]

    def leave(self, pid: int) -> None:
        """The process has ended."""
        for file in self.directory.glob(f"gauge_live*_{pid}.db"):
            file.unlink()
        self._left.append(pid)

    def next_left(self) -> int | None:
        """Whose counts the process takes over that is started next."""
        return self._left.pop() if self._left else None

    def take_over(self, left: int, pid: int) -> None:
        """In the new process, before it counts anything."""
        for kind in _LASTING:
            file = self.directory / f"{kind}_{left}.db"
            if file.exists():
                file.rename(self.directory / f"{kind}_{pid}.db")

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
