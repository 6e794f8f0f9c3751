"""What is found of the servers before a process starts, and when it refuses to."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import redis

from cli.embedded.postgres import Postgres
from cli.embedded.valkey import Valkey
from shared import servers
from shared.db import Session
from shared.errors import SettingsError
from shared.schema import migrate
from shared.settings import Settings
from shared.store import server
from tests.acceptance.conftest import wait_until


def advice(settings: Settings, connections: int = 8) -> list[str]:
    """What is warned of at a start that is not refused."""
    warned: list[servers.Finding] = []
    servers.require(settings, connections, warned.append)
    return [finding.advice for finding in warned]


def refusal(settings: Settings, connections: int = 8) -> str:
    with pytest.raises(SettingsError) as refused:
        servers.require(settings, connections, lambda _: None)
    return str(refused.value)


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("durable") / "postgres") as postgres:
        migrate(postgres.url)
        yield postgres


class TestPostgreSQL:
    @pytest.fixture
    def safe(self, settings: Settings, durable: Postgres) -> Settings:
        return replace(settings, database_url=durable.url, unsafe_database=False)

    def test_a_server_as_it_comes_is_taken_without_a_word(self, safe: Settings) -> None:
        assert advice(safe) == []

    def test_one_that_forgets_is_refused(self, settings: Settings) -> None:
        assert refusal(replace(settings, unsafe_database=False)).startswith(
            "PostgreSQL runs with fsync=off and may lose runs that were accepted"
        )

    def test_one_that_forgets_is_taken_by_who_says_so(self, settings: Settings) -> None:
        names = [line.split("=")[0].split()[-1] for line in advice(settings)]
        assert names == ["fsync", "full_page_writes", "synchronous_commit"]

    def test_our_role_may_not_forget_either(self, safe: Settings) -> None:
        with psycopg.connect(safe.database_url, autocommit=True) as connection:
            connection.execute("ALTER ROLE postgres SET synchronous_commit = off")
            try:
                assert "synchronous_commit=off" in refusal(safe)
            finally:
                connection.execute("ALTER ROLE postgres RESET synchronous_commit")

    def test_too_few_connections_are_refused_and_scarce_ones_told(self, safe: Settings) -> None:
        with psycopg.connect(safe.database_url, autocommit=True) as connection:
            connection.execute("ALTER DATABASE treadle CONNECTION LIMIT 9")
            try:
                assert "allows 9 connections and this process may need 10" in refusal(safe, 10)
                assert "if all ask at once, some wait" in advice(safe, 9)[0]
            finally:
                connection.execute("ALTER DATABASE treadle CONNECTION LIMIT -1")

    def test_a_schema_that_is_not_ours_yet_is_refused(self, safe: Settings) -> None:
        empty = safe.database_url.replace("/treadle?", "/postgres?")
        wanted = "The database is not up to date: run `treadle migrate` first."
        assert refusal(replace(safe, database_url=empty)) == wanted

    def test_an_old_server_is_refused(
        self, safe: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = Session(safe.database_url)
        with session.autocommit() as tx:
            today = server.read(tx)
        session.close()
        old = replace(today, version=140018, version_name="14.18")
        monkeypatch.setattr(server, "read", lambda _: old)
        assert refusal(safe) == "PostgreSQL is 14.18; Treadle needs 15 or newer."

    def test_a_replica_is_refused(self, settings: Settings, tmp_path: Path) -> None:
        postgres = Postgres(tmp_path / "replica")
        with postgres:
            migrate(postgres.url)
        signal = postgres.data / "standby.signal"
        signal.touch()
        signal.chmod(0o666)
        postgres.launch()
        try:
            wait_until(lambda: _connects(postgres.url), 30, "the replica")
            told = refusal(replace(settings, database_url=postgres.url))
        finally:
            postgres.stop()
        assert told == "DATABASE_URL names a read replica: name the primary."

    def test_one_that_is_not_there_is_refused(self, safe: Settings) -> None:
        nowhere = replace(safe, database_url="postgresql://me:sesame@127.0.0.1:1/none")
        assert refusal(nowhere).startswith("DATABASE_URL cannot be reached: ")
        assert "sesame" not in refusal(nowhere)

    def test_of_an_address_that_cannot_be_read_nothing_is_repeated(self, safe: Settings) -> None:
        malformed = replace(safe, database_url="postgresql://me:ses%ame@127.0.0.1:1/none")
        assert refusal(malformed) == "DATABASE_URL is not an address that PostgreSQL understands."


class TestRedis:
    @pytest.fixture
    def valkey(self, tmp_path: Path) -> Iterator[Valkey]:
        with Valkey(tmp_path / "valkey") as valkey:
            yield valkey

    @pytest.fixture
    def redis_url(self, valkey: Valkey) -> str:
        return valkey.url

    @pytest.fixture
    def connection(self, valkey: Valkey) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(valkey.url) as connection:
            yield connection

    @pytest.fixture
    def settings(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        monkeypatch.setattr(servers, "_postgresql", lambda *_: iter(()))
        return settings

    def test_one_that_evicts_nothing_is_taken_without_a_word(self, settings: Settings) -> None:
        assert advice(settings) == []

    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
    def test_one_that_evicts_is_refused(
        self, settings: Settings, connection: redis.Redis, policy: str
    ) -> None:
        connection.config_set("maxmemory-policy", policy)
        assert refusal(settings) == (
            f"Redis has maxmemory-policy {policy} and may drop what wakes the workers:"
            " set maxmemory-policy noeviction."
        )

    def test_one_that_refuses_config_still_tells_its_policy(
        self, settings: Settings, connection: redis.Redis
    ) -> None:
        connection.execute_command("ACL", "SETUSER", "default", "-config")
        assert advice(settings) == []

    def test_one_that_says_nothing_is_warned_of(
        self, settings: Settings, connection: redis.Redis
    ) -> None:
        connection.execute_command("ACL", "SETUSER", "default", "-info")
        wanted = "Redis does not tell its maxmemory-policy: see to it that it is noeviction."
        assert advice(settings) == [wanted]

    def test_one_that_is_away_is_warned_of(self, settings: Settings, valkey: Valkey) -> None:
        valkey.stop()
        assert advice(settings)[0].startswith("REDIS_URL cannot be reached (ConnectionError)")

    def test_one_that_refuses_our_password_is_warned_of(
        self, settings: Settings, connection: redis.Redis
    ) -> None:
        connection.config_set("requirepass", "another")
        assert advice(settings)[0].startswith("REDIS_URL cannot be reached (Auth")

    def test_of_an_address_that_cannot_be_read_nothing_is_repeated(
        self, settings: Settings
    ) -> None:
        told = refusal(replace(settings, redis_url="redis://:ses/ame@127.0.0.1:1/0"))
        assert told.startswith("REDIS_URL is not an address")
        assert "ses" not in told.replace("addresses", "").replace("address", "")


class TestS3:
    @pytest.fixture
    def settings(
        self, settings: Settings, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> Settings:
        monkeypatch.setattr(servers, "_postgresql", lambda *_: iter(()))
        return replace(settings, blobs=bucket)

    def test_one_that_takes_us_is_taken_without_a_word(self, settings: Settings) -> None:
        assert advice(settings) == []

    def test_a_bucket_that_is_not_there_is_refused(self, settings: Settings) -> None:
        told = refusal(replace(settings, blobs="s3://no-such-bucket/files"))
        assert told == "TREADLE_BLOBS names the bucket no-such-bucket, which is not there."

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"),
        ],
    )
    def test_one_that_refuses_our_credentials_is_refused_without_telling_them(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
    ) -> None:
        monkeypatch.setenv(name, "sesame")
        told = refusal(settings)
        assert told.startswith("S3 refuses us the bucket test-")
        assert told.endswith(f" ({reason}).")
        assert "sesame" not in told

    def test_a_start_without_credentials_is_refused(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert refusal(settings).startswith(
            "TREADLE_BLOBS names S3 and no credentials for it were found: set AWS_ACCESS_KEY_ID"
        )

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("AWS_ENDPOINT_URL_S3", "http://me:sesame@no address", "no address can be made"),
            ("AWS_PROFILE", "nobody", "(nobody) could not be found"),
        ],
    )
    def test_what_awss_variables_say_wrongly_is_refused(
        self,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        value: str,
        reason: str,
    ) -> None:
        monkeypatch.setenv(name, value)
        told = refusal(settings)
        assert told.startswith("TREADLE_BLOBS names S3, and what AWS's variables say of it is")
        assert reason in told
        assert "sesame" not in told

    def test_one_that_is_away_is_warned_of(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://me:sesame@127.0.0.1:1")
        (told,) = advice(settings)
        assert told == (
            "S3 cannot be reached at 127.0.0.1:1 (EndpointConnectionError): until it can, files are"
            " neither taken nor given."
        )


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
