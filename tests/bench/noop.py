"""A Celery worker with nothing to do: `celery --app tests.bench.noop worker`. CELERY_BROKER_URL says
where."""

from celery import Celery

TASK = "nothing"

app = Celery("noop")
app.conf.update(
    broker_transport_options={"ack_emulation": False},
    task_default_queue="noop",
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
)


@app.task(name=TASK)
def nothing() -> None:
    """As its name says."""
