"""What the processes' logs say, and what they never say, at DEBUG and through every failure."""

import json
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import redis
from openai import InternalServerError, OpenAI
from openai.types.beta.threads import Run

from cli.embedded.valkey import Valkey
from shared.settings import Settings
from tests.acceptance.conftest import Stack, free_port, wait_until
from tests.acceptance.test_start import treadle
from tests.acceptance.test_survival import wait_for_end
from tests.model_server import ModelServer, chunk, fail, pieces, say, send

SECRET = "sesame"  # part of every word that is nobody's business
TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "sesame-tool", "parameters": {}},
}
CALL = {"id": "call_1", "function": {"name": "look", "arguments": '{"at": "sesame-argument"}'}}


class TestSecrets:
    @pytest.fixture
    def redis_url(self, tmp_path: Path) -> Iterator[str]:
        with (
            Valkey(tmp_path / "valkey", tcp_port=free_port()) as valkey,
            redis.Redis.from_url(valkey.url) as self.redis,
        ):
            self.redis.config_set("requirepass", "sesame-redis")
            yield valkey.url.replace("redis://", "redis://:sesame-redis@")

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(
            settings,
            database_url=settings.database_url.replace("postgres@", "postgres:sesame-database@"),
            model_base_url=settings.model_base_url.replace("http://", "http://me:sesame-url@"),
            model_api_key="sesame-model-key",
            log_level="DEBUG",
        )

    @pytest.fixture
    def client(self, stack: Stack, model_server: ModelServer) -> OpenAI:
        self.stack, self.model = stack, model_server
        stack.start_api()
        self.worker = stack.start_worker()
        client = stack.client()
        self.assistant_id = client.beta.assistants.create(
            model="gpt-4o",
            name="sesame-name",
            instructions="sesame-instructions",
            tools=[TOOL],  # type: ignore[list-item]
            metadata={"why": "sesame-metadata"},
        ).id
        return client

    def ask(self, client: OpenAI, question: str, **options: Any) -> Run:
        said = ("sesame-prompt " * 50, question)
        return client.beta.threads.create_and_run(
            assistant_id=self.assistant_id,
            thread={"messages": [{"role": "user", "content": text} for text in said]},
            **options,
        )

    def sql(self, query: str, *values: Any) -> None:
        with psycopg.connect(self.stack.settings.database_url, autocommit=True) as connection:
            connection.execute(query.encode(), values)

    def text(self, part: str = "*") -> str:
        return "".join(log.read_text() for log in self.stack.logs.glob(f"{part}-*.log"))

    def lines(self, event: str, part: str = "*") -> list[dict[str, Any]]:
        """Every line is JSON, but for the word that Celery prints when it is told to end."""
        text = [line for line in self.text(part).splitlines() if line]
        spoken = [line for line in text if line != "worker: Warm shutdown (MainProcess)"]
        return [one for one in map(json.loads, spoken) if one["event"] == event]

    @pytest.mark.timeout(180)
    def test_a_run_has_one_line_at_its_end_whoever_ends_it_and_no_line_tells_a_secret(
        self, client: OpenAI
    ) -> None:
        ended = [
            self.completed(client),
            self.called_functions(client),
            self.tried_again(client),
            self.refused_by_the_model(client),
            self.failed_in_the_worker(client),
            self.streamed_while_redis_was_full(client),
            self.expired(client),
            self.cancelled(client),
        ]
        self.requests_that_fail(client)
        self.the_models_list(client)
        self.connections_are_lost(client)
        self.worker.send_signal(signal.SIGTERM)
        assert self.worker.wait(20) == 0
        ended_as = Counter((line["run_id"], line["status"]) for line in self.lines("run"))
        assert ended_as == Counter((run.id, run.status) for run in ended)
        assert SECRET not in self.text()
        assert self.stack.secret not in self.text()

    def completed(self, client: OpenAI) -> Run:
        self.model.script(say("sesame-answer"))
        run = wait_for_end(client, self.ask(client, "1"))
        [line] = [line for line in self.lines("run") if line["run_id"] == run.id]
        assert line["tokens"] == 18
        assert 0 <= line["waited_ms"] <= line["ms"]
        return run

    def called_functions(self, client: OpenAI) -> Run:
        self.model.script(say(None, tool_calls=[CALL]), say("sesame-answer"))
        run = wait_for_end(client, self.ask(client, "2"))
        assert run.status == "requires_action"
        output = {"tool_call_id": "call_1", "output": "sesame-output"}
        client.beta.threads.runs.submit_tool_outputs(
            run.id,
            thread_id=run.thread_id,
            tool_outputs=[output],  # type: ignore[list-item]
        )
        return wait_for_end(client, run)

    def tried_again(self, client: OpenAI) -> Run:
        """And the model server cannot count tokens."""
        self.model.tokenize = fail(500, "sesame-prompt")
        quoted = {"error": {"message": "sesame-prompt"}}
        self.model.script(
            fail(500, "sesame-prompt"),
            send(b"sesame-answer"),
            send(json.dumps(quoted).encode()),
            say("sesame-answer"),
        )
        run = wait_for_end(client, self.ask(client, "3", max_prompt_tokens=400))
        assert [line["reason"] for line in self.lines("model error")] == [
            "The model server answered 500",
            "The model server sent something that is not JSON.",
            "The model server sent an error",
        ]
        assert self.lines("tokens are estimated")[0]["error"] == "HTTPStatusError 500"
        return run

    def refused_by_the_model(self, client: OpenAI) -> Run:
        self.model.script(fail(400, "sesame-prompt is too long"))
        run = wait_for_end(client, self.ask(client, "4"))
        assert run.last_error is not None
        assert "sesame-prompt" in run.last_error.message
        return run

    def failed_in_the_worker(self, client: OpenAI) -> Run:
        thread = self.a_broken_thread(client)
        run = client.beta.threads.runs.create(thread, assistant_id=self.assistant_id)
        run = wait_for_end(client, run)
        assert "prompt.py" in self.lines("run failed in the worker")[0]["trace"]
        return run

    def a_broken_thread(self, client: OpenAI) -> str:
        """Its message's row is none that could be written, so that whoever reads it fails."""
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "sesame-prompt"}])
        content = json.dumps({"sesame-prompt": 1})
        self.sql("UPDATE messages SET content = %s WHERE thread_id = %s", content, thread.id)
        return thread.id

    def streamed_while_redis_was_full(self, client: OpenAI) -> Run:
        rest = threading.Event()
        words = [chunk({"content": f"sesame-answer {number} "}) for number in range(50)]
        self.model.script(pieces(*words, chunk({}, "stop"), "[DONE]", until=rest))
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "sesame-prompt"}])
        stream = client.beta.threads.runs.create(
            thread.id, assistant_id=self.assistant_id, stream=True
        )
        for event in stream:
            if event.event == "thread.message.delta":
                self.redis.config_set("maxmemory", 1)
                rest.set()
        wait_until(lambda: bool(self.lines("outbox dropped items")), 10, "a full Redis to be told")
        self.redis.config_set("maxmemory", 0)
        return client.beta.threads.runs.list(thread.id).data[0]

    def expired(self, client: OpenAI) -> Run:
        self.model.script(say(None, tool_calls=[CALL]))
        run = wait_for_end(client, self.ask(client, "6"))
        self.sql("UPDATE runs SET expires_at = now() WHERE id = %s", run.id)
        return self.after(client, run, "expired")

    def cancelled(self, client: OpenAI) -> Run:
        self.model.script(say(None, tool_calls=[CALL]))
        run = wait_for_end(client, self.ask(client, "7"))
        client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
        assert len(self.lines("run", "api")) == 1
        return self.after(client, run, "cancelled")

    def after(self, client: OpenAI, run: Run, status: str) -> Run:
        def now() -> Run:
            return client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)

        wait_until(lambda: now().status == status, 20, status)
        return now()

    def requests_that_fail(self, client: OpenAI) -> None:
        thread = client.beta.threads.create()
        # PostgreSQL's hint names the column that it does have.
        self.sql("ALTER TABLE messages RENAME attachments TO sesame_attachments")
        with pytest.raises(InternalServerError):
            client.beta.threads.messages.list(thread.id)
        self.sql("ALTER TABLE messages RENAME sesame_attachments TO attachments")
        url = self.stack.base_urls[0]
        for key in ("tr-sesame-key", self.stack.secret):
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            httpx2.get(f"{url}/sesame-path", headers=headers)
            httpx2.post(f"{url}/threads", headers=headers, content=b'{"sesame-body": ')
        told = [(line["route"], line["status"]) for line in self.lines("request", "api")]
        assert ("/v1/threads/<thread_id>/messages", 500) in told
        assert ("/v1/threads", 401) in told
        assert ("/v1/threads", 400) in told
        assert (None, 404) in told

    def the_models_list(self, client: OpenAI) -> None:
        self.model.models = fail(401, "Incorrect API key: sesame-model-key")
        client.models.list()
        assert self.lines("models not listed")[0]["reason"] == "AuthenticationError 401"

    def connections_are_lost(self, client: OpenAI) -> None:
        self.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for event in ("event subscription lost", "heartbeat failed"):
            wait_until(lambda event=event: bool(self.lines(event)), 20, event)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql://me:ses%ame@127.0.0.1/treadle"),
        ("database_url", "postgresql://me:sesame@127.0.0.1:99999/treadle"),
        ("database_url", "postgresql://me:sesame@127.0.0.1/treadle?sesame=1"),
        ("redis_url", "redis://:ses/ame@127.0.0.1:6379/0"),
        ("redis_url", "redis://:sesame@127.0.0.1:99999/0"),
        ("model_base_url", "http://me:ses@ame@127.0.0.1/v1"),
    ],
)
def test_a_refused_start_repeats_no_password(settings: Settings, name: str, value: str) -> None:
    ended = treadle(replace(settings, **{name: value}), "worker")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert not re.search("ses%?|ame@", ended.stderr.replace("address", ""))
