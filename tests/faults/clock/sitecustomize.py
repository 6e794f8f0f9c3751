"""Found first on the path of a process, this makes its clock wrong by CLOCK_ERROR_SECONDS: wall
time as Python tells it, in every thread and library; `monotonic` is no wall clock and stays right.
"""

import os
import time

ERROR = float(os.environ["CLOCK_ERROR_SECONDS"])
_time, _time_ns = time.time, time.time_ns
_localtime, _gmtime = time.localtime, time.gmtime


def _shifted(seconds: float | None) -> float:
    return _time() + ERROR if seconds is None else seconds


time.time = lambda: _time() + ERROR
time.time_ns = lambda: _time_ns() + int(ERROR * 1e9)
time.localtime = lambda seconds=None: _localtime(_shifted(seconds))
time.gmtime = lambda seconds=None: _gmtime(_shifted(seconds))
