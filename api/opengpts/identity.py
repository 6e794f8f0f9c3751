"""Whose request this is: the key names the project, the cookie the user inside it.

The cookie is a name that anybody may claim, as it was in OpenGPTs, so it only parts the users of
one project from each other. Programs written for OpenGPTs send no key; they are let in only where
the settings name the project that stands open to them, and only while that has a valid key.
"""

import time

from flask import g, request

from api import auth
from api.auth import Caller
from api.opengpts.faults import Detail, UnprocessableError
from api.runtime import runtime, single
from shared.store import callers
from shared.store.opengpts import Owner

COOKIE = "opengpts_user_id"
LONGEST_USER_ID = 200


def identify() -> None:
    """Before a request: sets the caller, or raises UnauthenticatedError."""
    if auth.has_key():
        auth.authenticate()
    else:
        g.caller = _caller_without_key()


def owner() -> Owner:
    """The project and the user, or UnprocessableError."""
    user_id = request.cookies.get(COOKIE)
    if not user_id:
        raise UnprocessableError([Detail.at("cookie", COOKIE)])
    if len(user_id) > LONGEST_USER_ID or not user_id.isprintable():
        fault = f"must be 1 to {LONGEST_USER_ID} printable characters"
        raise UnprocessableError([Detail(("cookie", COOKIE), fault, "value_error")])
    return Owner(auth.project_id(), user_id)


_remembered: dict[str, tuple[Caller, float]] = {}


def _caller_without_key() -> Caller:
    name = runtime().settings.opengpts_project
    if not name:
        raise auth.UnauthenticatedError("Not authenticated", None)
    found = _remembered.get(name)
    if found is None or found[1] < time.monotonic():
        with single() as tx:
            key = callers.valid_key(tx, name)
        if key is None:
            raise auth.UnauthenticatedError("Not authenticated", None)
        found = Caller.of(key), time.monotonic() + auth.REMEMBERED_SECONDS
        _remembered[name] = found
    return found[0]
