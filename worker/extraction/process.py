"""The process that reads a file, from outside: started, bounded, heard to its end."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path, PurePath
from subprocess import DEVNULL, PIPE
from typing import IO

from shared.errors import Unreadable
from worker.extraction.outcome import INVALID, MOST_TEXT, UNREADABLE

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 120.0
_TIMED_OUT = (-signal.SIGKILL, -signal.SIGXCPU)


class Extraction:
    """Of one file. It may be cut from any thread."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.was_cut = False

    def text(self, file: IO[bytes], name: str) -> str:
        """Raises Unreadable; OSError where no process can be started. Of the name only the ending
        is told, for who lists processes sees it."""
        ending = PurePath(name).suffix.lower()[:20]
        with self._lock:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "worker.extraction", str(os.getpid()), ending],
                stdin=file,
                stdout=PIPE,
                stderr=DEVNULL,
                cwd=_ROOT,
                env={"LANG": "C.UTF-8", "PYTHONUTF8": "1"},
            )
            if self.was_cut:
                process.kill()
        timer = threading.Timer(self._seconds, process.kill)
        timer.daemon = True
        timer.start()
        with process:
            assert process.stdout is not None
            said = process.stdout.read(MOST_TEXT + 1)
            if len(said) > MOST_TEXT:
                process.kill()
        timer.cancel()
        return _judged(process.returncode, said)

    @property
    def is_reading(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def cut(self) -> None:
        with self._lock:
            self.was_cut = True
            if self._process is not None:
                self._process.kill()


def _judged(status: int, said: bytes) -> str:
    if status == 0:
        return said.decode()
    if status == UNREADABLE:
        code, _, message = said.decode().partition(" ")
        raise Unreadable(code, message)
    if status in _TIMED_OUT:
        raise Unreadable(INVALID, "Reading the file takes too long.")
    raise Unreadable(INVALID, "Reading the file takes more than there is for it.")
