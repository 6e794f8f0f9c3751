"""Events of runs, over Redis publish/subscribe.

Who waits for a run hears that it stopped; who streams it hears of each change and each delta.
Nothing depends on an event: what is true stands in PostgreSQL, and a reader that hears nothing
looks there by itself.
"""

import logging
import queue
import threading
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
import redis

from shared.outbox import Outbox
from shared.settings import Settings

log = logging.getLogger(__name__)

Event = dict[str, Any]

_STOPPED = "treadle:stopped"
_TEXT_SECONDS = 900
_TEXT_EACH_BYTES = 512
_BATCH = 500
_SAME_PLACE = ("kind", "step_id", "fence", "index")
# Bytes that one stream may lag behind.
_MOST_UNREAD = 1024 * 1024
# Seconds between two attempts to subscribe.
_RETRY_SECONDS = 1.0
# Runs of which a listener waits for the end, though nobody does yet.
_MOST_EXPECTED = 10_000


def configure(settings: Settings) -> None:
    """Once per process, before the first publish."""
    global _redis
    _redis = _connect(settings, socket_timeout=5)


def publish_stopped(run_id: str) -> None:
    """The run needs nothing more from a worker for now. Returns at once, as all here do."""
    _outbox.put((_STOPPED, {"run_id": run_id}))


def publish_changed(run_id: str, status: str, begun_at: datetime | None) -> None:
    """To its streams: the run's rows are worth another look. What was said before it got that
    status is heard before. Where only that is new, as a worker took the run for the first time, it
    is told when."""
    began = {} if begun_at is None else {"begun_at": begun_at.timestamp()}
    _outbox.put((_channel(run_id), {"kind": "changed", "status": status, **began}))


def publish_gone(run_id: str) -> None:
    """To who waits for it and to its streams: the run does not exist any more."""
    publish_stopped(run_id)
    _outbox.put((_channel(run_id), {"kind": "changed"}))


def publish_delta(run_id: str, delta: Event) -> None:
    """A piece of what the model says, to the run's streams. `delta["at"]` counts the characters
    before it, `delta["at_byte"]` the bytes: a text is kept a while for streams that join late."""
    _outbox.put((_channel(run_id), delta))


def has_streams(run_id: str) -> bool:
    """Whether anybody would hear a delta of this run."""
    try:
        return bool(_redis.pubsub_numsub(_channel(run_id))[0][1])
    except redis.RedisError:
        return False


def text_so_far(message_id: str) -> str:
    """What the model has said of an unfinished message; empty if unknown, or if a piece is lost."""
    try:
        kept: bytes = _redis.get(_text_key(message_id)) or b""
    except redis.RedisError:
        return ""
    return "" if b"\0" in kept else kept.decode()


def flush(seconds: float) -> bool:
    return _outbox.flush(seconds)


class Heard:
    """What was heard of a run and not read yet. For a reader that lags far behind only the newest
    event is kept: it tells how far the text has come, and `text_so_far` what it is."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[tuple[Event, int]] = queue.SimpleQueue()
        self._unread = 0
        self._lock = threading.Lock()

    def put(self, event: Event, size: int) -> None:
        with self._lock:
            if self._unread + size > _MOST_UNREAD:
                while not self._events.empty():
                    self._unread -= self._events.get_nowait()[1]
                self._events.put(({"kind": "changed"}, 0))
            self._unread += size
            self._events.put((event, size))

    def get(self, seconds: float) -> Event | None:
        """The next one, or None if none comes in that time."""
        try:
            event, size = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        with self._lock:
            self._unread -= size
        return event


class Listener:
    """One subscription per process, fanned out in memory to whoever waits for a run."""

    def __init__(self, settings: Settings) -> None:
        # The health check notices a connection that only seems open.
        self._redis = _connect(settings, socket_timeout=20, health_check_interval=5)
        self._waiting: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._streams: defaultdict[str, set[Heard]] = defaultdict(set)
        self._expected: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._subscription: Any = None

    @property
    def connected(self) -> bool:
        return self._subscription is not None

    def start(self) -> None:
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread within a second."""
        self._stopping.set()

    def expect(self, run_id: str, project_id: str) -> None:
        """Of a run that is about to be made, and whose end will be heard."""
        with self._lock:
            self._expected[run_id] = project_id
            if len(self._expected) > _MOST_EXPECTED:
                del self._expected[next(iter(self._expected))]

    def still_expects(self, run_id: str, project_id: str) -> bool:
        """Whether that was said, and its end was not heard since. Only the first who asks is told
        so: an event may be lost."""
        with self._lock:
            is_expected = self._expected.get(run_id) == project_id
            if is_expected:
                del self._expected[run_id]
            return is_expected

    @contextmanager
    def stopped(self, run_id: str) -> Generator[threading.Event]:
        """An event that is set when the run stops. Look at the run after entering, not before."""
        event = threading.Event()
        with self._lock:
            self._waiting[run_id].add(event)
        try:
            yield event
        finally:
            with self._lock:
                _discard(self._waiting, run_id, event)

    @contextmanager
    def stream(self, run_id: str) -> Generator[Heard]:
        """All events of the run from here on."""
        heard = Heard()
        channel = _channel(run_id)
        with self._lock:
            self._streams[channel].add(heard)
            self._tell_redis("subscribe", channel)
        try:
            yield heard
        finally:
            with self._lock:
                if _discard(self._streams, channel, heard):
                    self._tell_redis("unsubscribe", channel)

    def _tell_redis(self, verb: str, channel: str) -> None:
        """Under the lock. What a lost connection does not take, the next one is told."""
        if self._subscription is not None:
            try:
                getattr(self._subscription, verb)(channel)
            except redis.RedisError as error:
                log.warning("event subscription failed", extra={"error": repr(error)})

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except redis.RedisError as error:
                log.warning("event subscription lost", extra={"error": repr(error)})
            self._subscription = None
            self._stopping.wait(_RETRY_SECONDS)

    def _listen(self) -> None:
        with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
            with self._lock:
                subscription.subscribe(_STOPPED, *self._streams)
                self._subscription = subscription
                self._expected.clear()
            while not self._stopping.is_set():
                # The wait ends each second so that the health check gets its turn.
                message = subscription.get_message(timeout=1.0)
                if message is not None:
                    self._hear(message["channel"].decode(), message["data"])

    def _hear(self, channel: str, data: bytes) -> None:
        event = orjson.loads(data)
        with self._lock:
            if channel == _STOPPED:
                self._expected.pop(event["run_id"], None)
                for waiting in self._waiting.get(event["run_id"], ()):
                    waiting.set()
            for heard in self._streams.get(channel, ()):
                heard.put(event, len(data))


def _discard(waiting: dict[str, set[Any]], name: str, one: Any) -> bool:
    """Whether nobody waits under that name any more."""
    waiting[name].discard(one)
    if waiting[name]:
        return False
    del waiting[name]
    return True


def _deliver(events: list[tuple[str, Event]]) -> None:
    with _redis.pipeline(transaction=False) as pipeline:
        for channel, event in _joined(events) if len(events) == _BATCH else events:
            if event.get("kind") == "text":
                _keep(pipeline, event)
            pipeline.publish(channel, orjson.dumps(event))
        pipeline.execute()


def _joined(events: list[tuple[str, Event]]) -> list[tuple[str, Event]]:
    """Where there is more to deliver than can be, pieces that continue each other are one."""
    joined: list[tuple[str, Event]] = []
    newest: dict[str, Event] = {}
    for channel, event in events:
        before = newest.get(channel)
        if before is not None and _continues(before, event):
            before["text"] += event["text"]
        else:
            newest[channel] = dict(event)
            joined.append((channel, newest[channel]))
    return joined


def _continues(before: Event, event: Event) -> bool:
    same = all(before.get(name) == event.get(name) for name in _SAME_PLACE)
    return same and "text" in event and before["at"] + len(before["text"]) == event["at"]


def _keep(pipeline: Any, delta: Event) -> None:
    """The first piece of a message begins it anew: an earlier worker may have been lost in it. For
    a piece that is lost Redis puts zero bytes."""
    key, text, begins = _text_key(delta["message_id"]), delta["text"].encode(), delta["at_byte"]
    if delta["at"] == 0:
        pipeline.set(key, text, ex=_TEXT_SECONDS)
        return
    pipeline.setrange(key, begins, text)
    # Now and then, which no model is too slow for.
    if begins // _TEXT_EACH_BYTES != (begins + len(text)) // _TEXT_EACH_BYTES:
        pipeline.expire(key, _TEXT_SECONDS)


def _channel(run_id: str) -> str:
    return f"treadle:run:{run_id}"


def _text_key(message_id: str) -> str:
    return f"treadle:text:{message_id}"


def _connect(settings: Settings, **options: float) -> Any:
    """redis-py's own types know little of what they return."""
    client: Any = redis.Redis
    return client.from_url(settings.redis_url, socket_connect_timeout=2, **options)


_redis: Any = None
_outbox: Outbox[tuple[str, Event]] = Outbox("events", _deliver, size=100_000, batch=_BATCH)
