from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import Settings

GIVEN = {
    "DATABASE_URL": "postgresql://u:p@h:5432/d",
    "REDIS_URL": "unix:///run/valkey.sock?db=1",
    "TREADLE_MODEL_BASE_URL": "https://models.example.org/v1",
    "TREADLE_MODEL_API_KEY": "secret",
    "TREADLE_MODELS": "gpt-4o=qwen3,*=smollm2",
    "TREADLE_HOME": "/srv/treadle",
    "TREADLE_PORT": "80",
    "TREADLE_LEASE_SECONDS": "2.5",
    "TREADLE_LOG_LEVEL": "DEBUG",
}
WRONG = [
    ("DATABASE_URL", "mysql://h/d"),
    ("DATABASE_URL", "h/d"),
    ("DATABASE_URL", "postgresql://u:p@ss@h/d"),
    ("DATABASE_URL", "postgresql://u:p%ss@h/d"),
    ("DATABASE_URL", "postgresql://u:p ss@h/d"),
    ("REDIS_URL", "http://h"),
    ("REDIS_URL", "localhost:6379"),
    ("TREADLE_MODEL_BASE_URL", "localhost:11434/v1"),
    ("TREADLE_MODEL_BASE_URL", "ftp://h/v1"),
    ("TREADLE_MODEL_BASE_URL", "http://[::1/v1"),
    ("TREADLE_EMBEDDING_BASE_URL", "localhost:11434/v1"),
    ("TREADLE_MODELS", "gpt-4o"),
    ("TREADLE_MODELS", "=qwen3"),
    ("TREADLE_MODELS", "gpt-4o="),
    ("TREADLE_MODELS", "a=b,c"),
    ("TREADLE_PORT", "0"),
    ("TREADLE_PORT", "65536"),
    ("TREADLE_PORT", "http"),
    ("TREADLE_PORT", "\uff18\uff10"),
    ("TREADLE_PORT", "8_0"),
    ("TREADLE_PORT", "80.0"),
    ("TREADLE_PORT", "9" * 5000),
    ("TREADLE_METRICS_PORT", "65535"),
    ("TREADLE_METRICS_PORT", "8100"),
    ("TREADLE_API_PROCESSES", "-1"),
    ("TREADLE_CONCURRENCY", "0"),
    ("TREADLE_DATABASE_POOL", "1"),
    ("TREADLE_RUN_SECONDS", "600.5"),
    ("TREADLE_LEASE_SECONDS", "1"),
    ("TREADLE_LEASE_SECONDS", "nan"),
    ("TREADLE_LEASE_SECONDS", "inf"),
    ("TREADLE_LEASE_SECONDS", "soon"),
    ("TREADLE_SWEEP_SECONDS", "0"),
    ("TREADLE_SHUTDOWN_SECONDS", "-0.1"),
    ("TREADLE_HOLD_SECONDS", "121"),
    ("TREADLE_MODEL_RETRIES", "many"),
    ("TREADLE_CONTEXT_TOKENS", "4k"),
    ("TREADLE_BODY_BYTES", "1023"),
    ("TREADLE_OPENGPTS_PROJECT", "tr-secret"),
    ("TREADLE_OPENGPTS_PROJECT", "proj_"),
    ("TREADLE_OPENGPTS_PROJECT", "asst_1"),
    ("TREADLE_BLOBS", "gs://bucket/prefix"),
    ("TREADLE_BLOBS", "s3://"),
    ("TREADLE_BLOBS", "s3://b"),
    ("TREADLE_BLOBS", "s3:///prefix"),
    ("TREADLE_BLOBS", "s3://bucket?region=x"),
    ("TREADLE_FILE_BYTES", "-1"),
    ("TREADLE_LOG_LEVEL", "debug"),
]


def test_settings_come_from_the_variables_that_name_them() -> None:
    settings = Settings.from_env(GIVEN)
    assert settings.database_url == "postgresql://u:p@h:5432/d"
    assert settings.redis_url == "unix:///run/valkey.sock?db=1"
    assert settings.model_base_url == "https://models.example.org/v1"
    assert settings.model_api_key == "secret"
    assert settings.models == {"gpt-4o": "qwen3", "*": "smollm2"}
    assert settings.home == Path("/srv/treadle")
    assert (settings.port, settings.lease_seconds, settings.log_level) == (80, 2.5, "DEBUG")


def test_what_is_absent_empty_or_blank_takes_the_default() -> None:
    names = [setting.metadata["env"] for setting in fields(Settings)]
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env(dict.fromkeys(names, "")) == Settings()
    assert Settings.from_env(dict.fromkeys(names, "  ")) == Settings()
    assert Settings().run_seconds == 600


def test_every_setting_has_a_variable_of_its_own_and_says_what_it_is() -> None:
    names = [setting.metadata["env"] for setting in fields(Settings)]
    assert len(set(names)) == len(names)
    assert all(setting.metadata["about"] for setting in fields(Settings))


def test_a_clients_own_variables_are_never_read() -> None:
    clients = {
        "OPENAI_BASE_URL": "https://api.openai.com/v1",
        "OPENAI_API_KEY": "sk-1",
        "OPENAI_ORG_ID": "org",
        "OPENAI_MODEL": "gpt-4o",
    }
    assert Settings.from_env(clients) == Settings()
    names = [setting.metadata["env"] for setting in fields(Settings)]
    assert [name for name in names if "OPENAI" in name] == []


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda text: text[:40])
def test_a_wrong_value_is_refused_in_one_sentence_that_names_its_variable(
    name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: value})
    sentence = str(caught.value)
    assert sentence.startswith(f"{name} must ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    # An address may hold a password.
    assert repr(value) in sentence or name.endswith("_URL")


@pytest.mark.parametrize("value", ["http://", "http:///v1", "https:models/v1"])
def test_a_model_server_without_a_host_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^TREADLE_MODEL_BASE_URL must "):
        Settings.from_env({"TREADLE_MODEL_BASE_URL": value})


def test_the_limits_themselves_are_allowed() -> None:
    for name, value in (
        ("TREADLE_PORT", "65535"),
        ("TREADLE_PORT", "1"),
        ("TREADLE_LEASE_SECONDS", "2"),
        ("TREADLE_LEASE_SECONDS", "300"),
        ("TREADLE_HOLD_SECONDS", "0"),
        ("TREADLE_MODEL_RETRIES", "0"),
    ):
        Settings.from_env({name: value})


def test_a_setting_that_is_needed_and_absent_is_named_with_what_it_is() -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set \(.+\)\.$"):
        Settings().require("database_url", "redis_url")
    with pytest.raises(SettingsError, match=r"^REDIS_URL is not set"):
        Settings(database_url="postgresql://h/d").require("database_url", "redis_url")
    complete = Settings(database_url="postgresql://h/d", redis_url="redis://h")
    assert complete.require("database_url", "redis_url") is complete


def test_a_model_is_served_under_its_alias_or_the_one_for_all_or_its_own_name() -> None:
    for models, asked, served in (
        ("gpt-4o=qwen3,*=smollm2", "gpt-4o", "qwen3"),
        ("gpt-4o=qwen3,*=smollm2", "gpt-4", "smollm2"),
        ("gpt-4o=qwen3", "gpt-4", "gpt-4"),
        ("*=smollm2", "anything", "smollm2"),
        (" gpt-4o = qwen3 , ,*=smollm2,", "gpt-4o", "qwen3"),
        ("a=org/model:7b=q4", "a", "org/model:7b=q4"),
    ):
        settings = Settings.from_env({"TREADLE_MODELS": models})
        assert settings.served_model(asked) == served, models


def test_embeddings_are_asked_of_the_model_server_unless_another_is_named() -> None:
    given = {"TREADLE_MODEL_BASE_URL": "http://chat/v1", "TREADLE_MODEL_API_KEY": "sesame"}
    another = {"TREADLE_EMBEDDING_BASE_URL": "http://vectors/v1"}
    key = {"TREADLE_EMBEDDING_API_KEY": "open"}
    for settings, server in (
        (given, ("http://chat/v1", "sesame")),
        (given | key, ("http://chat/v1", "open")),
        (given | another | key, ("http://vectors/v1", "open")),
        (another, ("http://vectors/v1", "none")),
        ({}, ("", "none")),
    ):
        assert Settings.from_env(settings).embedding_server == server


def test_the_model_servers_key_is_sent_to_no_other_server() -> None:
    settings = Settings(
        model_base_url="http://chat/v1",
        model_api_key="sesame",
        embedding_base_url="http://vectors/v1",
    )
    assert settings.embedding_server == ("http://vectors/v1", "none")


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1


@pytest.mark.parametrize("name", ["DATABASE_URL", "TREADLE_BLOBS"])
def test_no_secret_is_told_by_a_refusal(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: "postgres+x://user:hunter2@h/d"})
    assert "hunter2" not in str(caught.value)


def test_blobs_are_in_a_directory_or_in_a_bucket() -> None:
    for value in ("s3://bucket", "s3://bucket/", "s3://my.bucket_1/some/files"):
        assert Settings.from_env({"TREADLE_BLOBS": value}).blobs_are_in_s3
    settings = Settings.from_env({"TREADLE_BLOBS": "/srv/files"})
    assert not settings.blobs_are_in_s3
    assert settings.blob_directory == Path("/srv/files")
