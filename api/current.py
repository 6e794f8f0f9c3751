"""What Flask's proxies stand for now. A proxy looks that up with each attribute, in five calls: who
wants several, or is asked many times within a request, takes the thing itself.

werkzeug documents the function; its underscore is there lest it hide an attribute of the thing.
"""

from collections.abc import Callable
from typing import Any, cast

from flask import Flask, Request, current_app, g, request


def _thing(proxy: object) -> Callable[[], Any]:
    return cast("Any", proxy)._get_current_object  # noqa: SLF001


app: Callable[[], Flask] = _thing(current_app)
asked: Callable[[], Request] = _thing(request)
kept: Callable[[], Any] = _thing(g)  # what is kept as long as the request lasts
