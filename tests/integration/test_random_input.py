"""Whatever JSON is sent to whatever route, the answer is clean."""

import json
from contextlib import closing

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.db import Database
from tests.conftest import Caller, http_as
from tests.integration.samples import bodies_of
from tests.integration.wire import flaw

WORDS = ["user", "assistant", "auto", "text", "image_url", "json_schema", "last_messages", "asst_x"]
NAMES = ["role", "content", "type", "text", "messages", "metadata", "json_schema", "schema", "name"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()), max_size=8)
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        | st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                (
                    "role",
                    "content",
                    "type",
                    "text",
                    "messages",
                    "metadata",
                    "json_schema",
                    "schema",
                ),
                inner,
            ),
        )
    ),
    max_leaves=20,
)


def test_random_json_is_taken_or_refused_and_never_breaks_the_server(
    app: Flask, database: Database, caller: Caller
) -> None:
    bodies = bodies_of(app, database, caller.project_id)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data())
    def send(data: st.DataObject) -> None:
        route, path, body = data.draw(st.sampled_from(bodies))
        changes = st.dictionaries(st.sampled_from([*body, "unknown"]), JSON, min_size=1)
        sent = data.draw(JSON | changes.map(lambda change: {**body, **change}))
        answer = http.post(f"http://treadle{path}", content=json.dumps(sent).encode())
        assert answer.status_code == 200 or flaw(answer) is None, (str(route), answer.text)

    with closing(http_as(app, caller.secret)) as http:
        send()
