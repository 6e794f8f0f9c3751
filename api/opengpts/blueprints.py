"""The dialect's blueprints and where they are mounted."""

from api.opengpts import assistants, health, runs, threads

MOUNT = "/opengpts"
BLUEPRINTS = (
    assistants.blueprint,
    threads.blueprint,
    runs.blueprint,
    health.blueprint,
)
