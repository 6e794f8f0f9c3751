"""Waiting for a disk, which gevent cannot: in a thread, while the event loop goes on."""

from collections.abc import Callable
from typing import Any, TypeVar

import gevent

T = TypeVar("T")


def wait(act: Callable[..., T], *arguments: Any) -> T:
    return gevent.get_hub().threadpool.apply(act, arguments)
