"""Who waits in this process: held polls and streams. Each keeps a connection and looks at its run
now and then, so how many there are is bounded, and how often they look all together."""

import random
import threading

# Of the connections that a process bears (api/server.py), some are left for whoever does not wait.
_MOST = 8_000
# All together. A look is a read or a few; where Redis is away, all of them would look all the time.
_LOOKS_PER_SECOND = 200


class Waiting:
    def __init__(self) -> None:
        self._number = 0
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Whether there was room; who got in leaves again."""
        with self._lock:
            if self._number >= _MOST:
                return False
            self._number += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._number -= 1

    def look_seconds(self, at_least: float) -> float:
        """How long each of them should wait before its next look."""
        # Those that came together need not look together.
        return max(at_least, self._number / _LOOKS_PER_SECOND * random.uniform(0.8, 1.2))
