"""The dialect's blueprints, in the order of its documentation, and where else they stand.

One view answers on every mount. The documentation shows them where OpenAI has them, on `/v1`.
"""

from api.openai import (
    assistants,
    batches,
    files,
    messages,
    models,
    run_steps,
    runs,
    threads,
    vector_store_batches,
    vector_store_files,
    vector_stores,
)

BLUEPRINTS = (
    assistants.blueprint,
    threads.blueprint,
    messages.blueprint,
    runs.blueprint,
    run_steps.blueprint,
    files.blueprint,
    vector_stores.blueprint,
    vector_store_files.blueprint,
    vector_store_batches.blueprint,
    batches.blueprint,
    models.blueprint,
)

DOCUMENTED_MOUNT = "/v1"
# Name → prefix: programs whose base URL ends without /v1, and Azure's two, of which the older
# one carries an `api-version` that nothing here depends on.
FURTHER_MOUNTS = {"root": "", "azure": "/openai", "azure-v1": "/openai/v1"}
