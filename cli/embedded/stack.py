"""What one `treadle up` consists of: which parts it starts itself, in what order, with which
environment. Servers that the settings name are used and never started.
"""

import os
from collections.abc import Callable
from dataclasses import replace

import redis

from cli.embedded import home, model
from cli.embedded.model import LocalEmbeddings, LocalModel
from cli.embedded.postgres import Postgres
from cli.embedded.processes import StartError
from cli.embedded.programs import Address, Api, Worker
from cli.embedded.supervision import Part, Watch
from cli.embedded.valkey import Valkey
from shared import servers
from shared.errors import SettingsError
from shared.schema import migrate
from shared.settings import Settings

WORKER_STOP_SECONDS = 5
REDIS_SECONDS = 3
NEAR = "127.0.0.1,localhost,::1"


class Stack:
    def __init__(self, settings: Settings, state: home.Home, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.state = state
        self.say = say
        self.address = Address(settings.host, settings.port)
        self.no_model = ""  # why no question can be answered
        self.local_model: LocalModel | None = None
        self.local_embeddings: LocalEmbeddings | None = None
        self._serves_embeddings = serves_embeddings(settings)
        self._watches: list[Watch] = []
        self.database_url = settings.database_url
        self.redis_url = settings.redis_url
        self.secret = ""  # of the first key
        self._key_id = ""

    def start(self) -> None:
        """Returns when the API takes requests."""
        self.address.require_free()
        servers = self._launch_servers()
        for part in servers:
            self._wait(part)
        self._migrate()
        self._make_key()
        _require_redis(self.redis_url)
        self._require_servers()
        api = self._launch_programs()
        self._wait_for_model()
        if not self._has_embeddings():
            api = self._launch_programs()
        self._wait(api)

    def tend(self) -> None:
        for watch in self._watches:
            watch.tend()

    def stop(self) -> None:
        """Whoever uses a server is stopped before it, the API and the worker at the same time."""
        parts = [watch.part for watch in reversed(self._watches)]
        for part in parts:
            if isinstance(part, Api | Worker):
                part.process.signal_stop()
        for part in parts:
            part.stop()

    def environment(self) -> dict[str, str]:
        """What the API and the worker get: ours, and where the servers are."""
        settings, given = self.settings, dict(os.environ)
        given["DATABASE_URL"] = self.database_url
        given["REDIS_URL"] = self.redis_url
        given["TREADLE_HOME"] = str(self.state.directory)
        if not settings.blobs_are_in_s3:
            given["TREADLE_BLOBS"] = str(settings.blob_directory.absolute())
        if not settings.opengpts_project and self.address.is_local:
            given["TREADLE_OPENGPTS_PROJECT"] = self._key_id
        if self.local_embeddings:
            given["TREADLE_EMBEDDING_MODEL"] = model.EMBEDDING_MODEL
            given["TREADLE_EMBEDDING_BASE_URL"] = self.local_embeddings.base_url
        if self.local_model:
            given |= self._of_local_model(self.local_model, given)
        return beyond_proxies(given)

    def _of_local_model(self, local: LocalModel, given: dict[str, str]) -> dict[str, str]:
        """Where it is, and what suits it unless something else was set."""
        settings = self.settings
        found = {"TREADLE_MODEL_BASE_URL": local.base_url}
        if not settings.models:
            found["TREADLE_MODELS"] = f"*={model.MODEL}"
        if not settings.context_tokens:
            found["TREADLE_CONTEXT_TOKENS"] = str(model.CONTEXT_TOKENS)
        if not given.get("TREADLE_SEARCH_FIRST", "").strip():
            found["TREADLE_SEARCH_FIRST"] = "1"
        return found

    def _beside(self, environment: dict[str, str]) -> dict[str, str]:
        """For the worker, whose /metrics are on the port after the API's."""
        port = self.settings.metrics_port
        return environment | {"TREADLE_METRICS_PORT": str(port + 1)} if port else environment

    def _launch_servers(self) -> list[Part]:
        servers: list[Part] = []
        if not self.settings.model_base_url:
            self.local_model = LocalModel(self.state.log("model"))
            self._launch(self.local_model)
        if self._serves_embeddings:
            place = self.state.directory / "models"
            self.local_embeddings = LocalEmbeddings(place, self.state.log("embeddings"))
            self._launch(self.local_embeddings)
        if not self.redis_url:
            valkey = Valkey(self.state.directory / "valkey", log=self.state.log("valkey"))
            self.redis_url = valkey.url
            servers.append(valkey)
        if not self.database_url:
            postgres = Postgres(self.state.directory / "postgres", log=self.state.log("postgres"))
            self.database_url = postgres.url
            servers.append(postgres)
        for server in servers:
            self._launch(server)
        return servers

    def _launch_programs(self) -> Api:
        environment = self.environment()
        seconds = self.settings.shutdown_seconds + WORKER_STOP_SECONDS
        api = Api(environment, self.state.log("api"), self.address)
        self._launch(Worker(self._beside(environment), self.state.log("worker"), seconds))
        self._launch(api)
        return api

    def _launch(self, part: Part) -> None:
        self._watches.append(Watch(part, self.say))
        part.launch()

    def _wait(self, part: Part) -> None:
        part.wait_ready()
        self.say(f"{part.process.name} is up")

    def _migrate(self) -> None:
        applied = migrate(self.database_url)
        self.say(f"The database is up to date ({len(applied)} applied now)")

    def _require_servers(self) -> None:
        settings = replace(self.settings, database_url=self.database_url, redis_url=self.redis_url)
        connections = servers.connections_of_api(settings)
        connections += servers.connections_of_worker(settings)
        servers.require(settings, connections, lambda finding: self.say(finding.advice))

    def _make_key(self) -> None:
        key, self.secret = self.state.first_key(self.database_url)
        self._key_id = key.id

    def _wait_for_model(self) -> None:
        if self.local_model is None:
            return
        try:
            self._wait(self.local_model)
        except StartError as error:
            self.no_model = str(error)
            self.say(self.no_model)
            self.local_model.refuse(self.no_model)

    def _has_embeddings(self) -> bool:
        """Whether all is as the programs were told. If not, these are stopped, to be told anew."""
        if self.local_embeddings is None:
            return True
        try:
            self._wait(self.local_embeddings)
        except StartError as error:
            self.say(f"Vector stores are searched by words alone. {error}")
            self._stop(Api, Worker, LocalEmbeddings)
            self.local_embeddings = None
            return False
        return True

    def _stop(self, *kinds: type[Part]) -> None:
        """For good."""
        for watch in [one for one in self._watches if isinstance(one.part, kinds)]:
            watch.part.stop()
            self._watches.remove(watch)


def serves_embeddings(settings: Settings) -> bool:
    """Whether they are made here. Raises SettingsError if they are to be made elsewhere too."""
    named = settings.embedding_model or settings.embedding_base_url
    if settings.local_embeddings and named:
        raise SettingsError(
            "TREADLE_LOCAL_EMBEDDINGS brings a model and a server of its own: leave out "
            "TREADLE_EMBEDDING_MODEL and TREADLE_EMBEDDING_BASE_URL, or it."
        )
    if settings.local_embeddings is None:
        return not (named or settings.model_base_url)
    return settings.local_embeddings


def _require_redis(url: str) -> None:
    """Treadle itself outlives a Redis that is away; a start with a wrong address should not."""
    try:
        with redis.Redis.from_url(url, socket_timeout=REDIS_SECONDS) as connection:
            connection.ping()
    except redis.RedisError as error:
        raise SettingsError(f"REDIS_URL cannot be reached: {error}") from None
    except ValueError:
        raise SettingsError("REDIS_URL is not an address that can be read.") from None


def beyond_proxies(environment: dict[str, str]) -> dict[str, str]:
    """No proxy stands between this machine's own processes."""
    for name in ("no_proxy", "NO_PROXY"):
        given = environment.get(name, "")
        environment[name] = f"{given},{NEAR}" if given else NEAR
    return environment
