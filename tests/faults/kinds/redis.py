"""Redis forgets, dies, freezes, is full, is slow: no run may notice more than a delay."""

import shutil
import time

import redis

from tests.faults.fault import Fault
from tests.faults.stage import Stage, freeze, thaw


class Flushed(Fault):
    name = "redis: forgets every bell while runs wait"
    rows = (9,)
    seconds = 3.0

    def inject(self, stage: Stage) -> None:
        """The workers are held still meanwhile, for less than their lease: so runs do wait."""
        for worker in stage.workers:
            freeze(worker.pid)
        time.sleep(1.5)
        with stage.redis() as connection:
            connection.flushall()
        for worker in stage.workers:
            thaw(worker.pid)
        self.strikes({row[0] for row in stage.sql("SELECT id FROM runs WHERE status = 'queued'")})

    def heal(self, stage: Stage) -> None:
        for worker in stage.workers:
            thaw(worker.pid)


class Killed(Fault):
    name = "redis: killed, and started again empty"
    rows = (10,)
    seconds = 4.0

    def inject(self, stage: Stage) -> None:
        stage.valkey.process.kill()
        shutil.rmtree(stage.valkey.directory / "appendonlydir")

    def heal(self, stage: Stage) -> None:
        stage.valkey.start()


class Frozen(Fault):
    name = "redis: frozen"
    rows = (11,)
    seconds = 6.0

    def inject(self, stage: Stage) -> None:
        freeze(stage.valkey.process.pid)

    def heal(self, stage: Stage) -> None:
        thaw(stage.valkey.process.pid)


class Paused(Fault):
    name = "redis: pauses its clients, then disconnects them"
    rows = (12,)

    def inject(self, stage: Stage) -> None:
        with stage.redis() as connection:
            connection.execute_command("CLIENT", "PAUSE", "2000")

    def heal(self, stage: Stage) -> None:
        with stage.redis() as connection:
            connection.execute_command("CLIENT", "KILL", "TYPE", "normal")
        with stage.redis() as connection:
            connection.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


class Full(Fault):
    name = "redis: out of memory"
    rows = (13,)
    seconds = 4.0

    def inject(self, stage: Stage) -> None:
        with stage.redis() as connection:
            connection.config_set("maxmemory", "1mb")
            connection.config_set("maxmemory", "1")
            assert connection.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
            try:
                connection.set("one", "more")
            except redis.OutOfMemoryError:
                return
            raise AssertionError("Redis takes more though its memory is used up")

    def heal(self, stage: Stage) -> None:
        with stage.redis() as connection:
            connection.config_set("maxmemory", "0")


class HalfOpen(Fault):
    name = "redis: connections stay open and carry nothing"
    rows = (14,)
    seconds = 8.0

    def inject(self, stage: Stage) -> None:
        stage.to_redis.freeze()

    def heal(self, stage: Stage) -> None:
        """What was sent into the hole stays lost."""
        stage.to_redis.cut()
        stage.to_redis.thaw()


class Slow(Fault):
    name = "redis: 200 ms away"
    rows = (15,)
    seconds = 4.0

    def inject(self, stage: Stage) -> None:
        stage.to_redis.delay = 0.1

    def heal(self, stage: Stage) -> None:
        stage.to_redis.delay = 0.0


class Refusing(Fault):
    name = "redis: refuses connections"
    rows = (10,)
    seconds = 4.0

    def inject(self, stage: Stage) -> None:
        stage.to_redis.refuse()

    def heal(self, stage: Stage) -> None:
        stage.to_redis.accept()
