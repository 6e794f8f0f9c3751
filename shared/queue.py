"""The bell: a Celery message that says there is work. It carries nothing, for nothing may be lost
with it.

Which run is next is decided by the claim, in PostgreSQL. Celery on Redis loses messages in three
ways even with late acks, and late acks only add duplicates; so bells are acknowledged early, kept
out of kombu's own redelivery (one Redis command each instead of nine), and rung again by the sweep.
"""

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from celery import Celery
from kombu import Queue
from kombu.exceptions import KombuError
from redis import RedisError

from shared.outbox import Outbox
from shared.settings import Settings

TASK = "treadle.answer_bell"
FILES_TASK = "treadle.answer_files_bell"
NAME = "treadle"
# Who hears one takes all runs that wait, as far as there is room, so a crowd needs no bell each.
RUNS_PER_BELL = 8
_REST_SECONDS_EACH, _MOST_REST_SECONDS = 0.004, 0.016

celery = Celery("treadle", set_as_current=False)


def configure(settings: Settings) -> None:
    """Once per process, before the first ring."""
    celery.conf.update(
        broker_url=_broker_url(settings.redis_url),
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "ack_emulation": False,
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "max_connections": 20,
        },
        task_queues=[Queue(NAME, routing_key=NAME)],
        task_default_queue=NAME,
        task_default_routing_key=NAME,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )


def ring(runs: int = 1) -> None:
    """For so many runs. Returns at once. A bell that Redis does not take is rung again by the
    sweep."""
    _outbox.put(runs)


def ring_for_files() -> None:
    """As `ring`, for files of vector stores: they are many less, and workers look for them now and
    then, too."""
    _outbox.put(0)


def waiting() -> int | None:
    """Bells that no worker has taken yet; None if Redis cannot say."""
    try:
        with celery.connection_or_acquire() as connection:
            channel: Any = connection.default_channel
            return int(channel.client.llen(NAME))
    except (KombuError, OSError, RedisError):
        return None


def flush(seconds: float) -> bool:
    return _outbox.flush(seconds)


def _deliver(runs: list[int]) -> None:
    bells = [TASK] * -(-sum(runs) // RUNS_PER_BELL) + [FILES_TASK] * (0 in runs)
    with celery.producer_or_acquire() as producer:
        for bell in bells:
            celery.send_task(
                bell, producer=producer, retry=False, ignore_result=True, argsrepr="", kwargsrepr=""
            )


def _rest(rings: int) -> float:
    """In a crowd bells wait for company. Who asks one question after the other is not held up."""
    return min(_REST_SECONDS_EACH * rings, _MOST_REST_SECONDS)


_outbox: Outbox[int] = Outbox("bell", _deliver, rest=_rest)


def _broker_url(redis_url: str) -> str:
    """kombu spells a Unix socket `redis+socket://path?virtual_host=0`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{quote(parts.path)}?virtual_host={database}"
