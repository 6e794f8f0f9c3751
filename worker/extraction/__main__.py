"""`python -m worker.extraction PARENT ENDING < file`: writes the file's text, or says why there is
none. Bounded before it looks at a byte."""

import ctypes
import os
import resource
import sys
from pathlib import Path

from shared.errors import Unreadable
from worker.extraction.kinds import text_of
from worker.extraction.outcome import INVALID, MOST_TEXT, UNREADABLE

_MEMORY = 1 << 30
_CPU_SECONDS = 60
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def main(parent: str, ending: str) -> int:
    _limit()
    _die_with(int(parent))
    try:
        text = text_of(sys.stdin.buffer, ending)
        written = text.encode("utf-8", "replace").replace(b"\0", b" ")
        if len(written) > MOST_TEXT:
            raise Unreadable(INVALID, f"The file has more than {MOST_TEXT >> 20} MB of text.")
    except Unreadable as error:
        return _say(error.code, error.message)
    except (MemoryError, RecursionError):
        return _say(INVALID, "Reading the file takes more memory than there is for it.")
    except Exception:  # noqa: BLE001 - whatever a library says of bytes that are not its kind's
        return _say(INVALID, "The file is damaged: it cannot be read.")
    sys.stdout.buffer.write(written)
    return 0


def _limit() -> None:
    os.nice(5)
    if sys.platform.startswith("linux"):
        # Where the machine runs out of memory, this process is the one that ends.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _die_with(parent: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)


def _say(code: str, message: str) -> int:
    sys.stdout.write(f"{code} {message}")
    return UNREADABLE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
