"""The dialect's blueprints, in the order of its documentation."""

from api.openai import assistants, messages, run_steps, runs, threads

BLUEPRINTS = (
    assistants.blueprint,
    threads.blueprint,
    messages.blueprint,
    runs.blueprint,
    run_steps.blueprint,
)
