"""The Flask application: mounts the dialects. The one file that knows all of them."""

import logging
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from flask import Flask, Request, Response, g, request
from flask.json.provider import JSONProvider
from flask.sessions import NullSession, SessionInterface
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from api import current, disk, errors, health, limits, metrics, watch
from api.background import Background
from api.clearing import Clearing
from api.documentation import page
from api.documentation.document import Document
from api.openai.batching.steps import Steps
from api.openai.blueprints import BLUEPRINTS, DOCUMENTED_MOUNT, FURTHER_MOUNTS
from api.openai.schemas.document import wire_properties
from api.opengpts import blueprints as opengpts
from api.opengpts import errors as opengpts_errors
from api.runtime import Runtime, attach
from api.served_models import ServedModels
from shared import events, log, queue, rates
from shared.blobs import open_blobs
from shared.db import Database
from shared.embeddings import Embeddings
from shared.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)


class _Orjson(JSONProvider):
    """Indented by two, as the wire is."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return orjson.dumps(obj, option=orjson.OPT_INDENT_2).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)


class _Response(Response):
    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """As they are, where an answer is whole. werkzeug copies them, header by header, to make a
        Location absolute or to tell a length that nobody told."""
        if self.status_code == HTTPStatus.OK and "Content-Length" in self.headers:
            return self.headers
        return super().get_wsgi_headers(environ)


class _NoSessions(SessionInterface):
    """Nobody is known by a cookie."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002 - Flask's
        return self._none


class _Flask(Flask):
    json_provider_class = _Orjson
    session_interface = _NoSessions()
    response_class = _Response

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No function here is a coroutine. Flask would look at each, eight for every request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Routes depend on path and method. Flask's own takes a name of the host apart first."""
        if request is None:
            return super().create_url_adapter(request)
        path = request.environ["PATH_INFO"].encode("latin1").decode(errors="replace")
        return self.url_map.bind("", path_info=path, default_method=request.method)


def create_app(settings: Settings | None = None) -> Flask:
    """Opens the pool and the event subscription: call it in the process that serves.

    PostgreSQL need not be there (`treadle api` has looked at it): a process that takes the place
    of another while it is away must not end those that serve.
    Raises SettingsError if a server is not named.
    """
    settings = settings or Settings.from_env()
    settings.require("database_url", "redis_url")
    log.configure(settings.log_level)
    queue.configure(settings)
    events.configure(settings)
    rates.configure(settings)
    listener = events.Listener(settings)
    listener.start()
    database = Database(settings.database_url, settings.database_pool).open()

    app = _Flask("treadle", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.body_bytes
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # a redirect is no answer to an API's client
    app.config["IS_DRAINING"] = lambda: False  # gunicorn's hook knows better (api/server.py)
    models = ServedModels(settings)
    runtime = Runtime(
        settings,
        database,
        open_blobs(settings, disk.wait),
        listener,
        models,
        Embeddings(settings),
        lambda: app.config["IS_DRAINING"](),
    )
    attach(app, runtime)
    # Started by what serves (api/server.py).
    app.extensions["treadle-background"] = [
        Background("batches", 1.0, Steps(runtime).advance),
        Background("files", 5.0, Clearing(database, runtime.blobs).clear),
    ]
    errors.register(app)
    app.register_error_handler(HTTPException, _refused_by_flask)
    app.before_request(_begin)
    app.after_request(_describe)
    app.register_blueprint(health.blueprint)
    _mount(app)
    if settings.metrics_port:
        app.wsgi_app = watch.beside(app.wsgi_app, settings, database)
    return app


def _mount(app: Flask) -> None:
    """Every dialect, and the documentation of what is documented."""
    document = Document(app)
    document.describe_fields(wire_properties)
    for blueprint in BLUEPRINTS:
        document.register_blueprint(blueprint, url_prefix=DOCUMENTED_MOUNT)
        for name, prefix in FURTHER_MOUNTS.items():
            app.register_blueprint(blueprint, name=f"{name}-{blueprint.name}", url_prefix=prefix)
    for blueprint in opengpts.BLUEPRINTS:
        app.register_blueprint(blueprint, url_prefix=opengpts.MOUNT)
    page.register(app, document)


def _refused_by_flask(error: HTTPException) -> Response:
    """Where no route is met, only the path says in which dialect to refuse."""
    spoken = opengpts_errors if request.path.startswith(f"{opengpts.MOUNT}/") else errors
    return spoken.http_error(error)


def _begin() -> None:
    kept = current.kept()
    kept.started = time.monotonic()
    kept.request_id = f"req_{secrets.token_hex(16)}"


def _describe(response: Response) -> Response:
    asked, kept = current.asked(), current.kept()
    seconds = time.monotonic() - kept.started
    ms = int(seconds * 1000)
    # Added: to set one is to look for it among the others.
    headers = response.headers
    headers.add("x-request-id", kept.request_id)
    headers.add("openai-version", "2020-10-01")
    headers.add("openai-processing-ms", str(ms))
    limits.tell(response)
    route = asked.url_rule and asked.url_rule.rule
    worked = seconds - kept.get("held_seconds", 0.0)
    metrics.answered(route, asked.method, response.status_code, worked)
    _log(route, response.status_code, ms)
    return response


def _log(route: str | None, status: int, ms: int) -> None:
    """What goes well is told at DEBUG only: a poll costs little, and its line should not cost more.
    Of a stream, the time until it begins."""
    level = logging.DEBUG if status < 400 else logging.INFO if status < 500 else logging.WARNING
    if logger.isEnabledFor(level):
        caller = g.get("caller")
        logger.log(
            level,
            "request",
            extra={
                "request_id": g.request_id,
                "method": request.method,
                "route": route,
                "status": status,
                "ms": ms,
                "project_id": caller and caller.project_id,
            },
        )
