"""What the local models have in common as llama.cpp serves them, in a process of each."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

# By name, because it has no types and need not be installed where this is checked.
xllamacpp: Any = import_module("xllamacpp")
MOST_THREADS = 8


def parameters(weights: Path, port: int) -> Any:
    """On this machine only, with no more than a client of the API needs."""
    asked = xllamacpp.CommonParams()
    asked.model.path = str(weights)
    asked.hostnames = ["127.0.0.1"]
    asked.port = port
    asked.cpuparams.n_threads = _threads()
    asked.ui = False
    asked.endpoint_slots = False
    asked.cors_origins = "http://127.0.0.1"
    return asked


def _threads() -> int:
    """One core is left to everybody else: with a thread on each, all of them wait for the one that
    lost its core, and answers take ten times as long."""
    return max(1, min(MOST_THREADS, (os.cpu_count() or 1) - 1))
