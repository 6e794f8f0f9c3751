-- Instants are the database's own clock; the wire shows whole seconds of them.
-- `sequence` orders what one list shows: it is given out under a lock on the list's owner.
-- Wire fragments are json, not jsonb: they are never queried, and a JSON schema's key order,
-- which models follow, must survive.

CREATE TABLE projects (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE keys (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects,
    name text NOT NULL,
    hint text NOT NULL,
    secret_sha256 bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE assistants (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    name text,
    description text,
    model text NOT NULL,
    instructions text,
    tools json NOT NULL,
    tool_resources json NOT NULL,
    metadata json NOT NULL,
    temperature double precision NOT NULL,
    top_p double precision NOT NULL,
    response_format json NOT NULL,
    reasoning_effort text
);
CREATE INDEX assistants_by_project ON assistants (project_id, sequence);

CREATE TABLE threads (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tool_resources json NOT NULL,
    metadata json NOT NULL
);

-- An assistant may be deleted while its runs stay: assistant_id is a name, not a reference.
CREATE TABLE runs (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL REFERENCES threads ON DELETE CASCADE,
    assistant_id text COLLATE "C" NOT NULL,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status text NOT NULL DEFAULT 'queued',
    model text NOT NULL,
    instructions text,
    tools json NOT NULL,
    tool_resources json NOT NULL,
    metadata json NOT NULL,
    temperature double precision NOT NULL,
    top_p double precision NOT NULL,
    max_prompt_tokens integer,
    max_completion_tokens integer,
    truncation_strategy json NOT NULL,
    tool_choice json NOT NULL,
    parallel_tool_calls boolean NOT NULL,
    response_format json NOT NULL,
    reasoning_effort text,
    expires_at timestamptz NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    failed_at timestamptz,
    cancelled_at timestamptz,
    required_action json,
    last_error json,
    incomplete_details json,
    usage json,
    -- The engine's own: who holds the run, under which fence, and when it may next be claimed.
    worker_id text COLLATE "C",
    fence bigint NOT NULL DEFAULT 0,
    run_after timestamptz NOT NULL DEFAULT clock_timestamp(),
    lapses integer NOT NULL DEFAULT 0,
    model_failures integer NOT NULL DEFAULT 0,
    -- Somebody streams this run, or did: its changes are worth an event.
    streamed boolean NOT NULL DEFAULT false,
    -- What asked for it, so that a client's retry finds what its first try made.
    request_sha256 bytea,

    CONSTRAINT status_is_known CHECK (status IN (
        'queued', 'in_progress', 'requires_action', 'cancelling',
        'cancelled', 'completed', 'incomplete', 'failed', 'expired'
    )),
    CONSTRAINT only_the_ended_have_an_end CHECK (
        (completed_at IS NOT NULL) = (status IN ('completed', 'incomplete'))
        AND (failed_at IS NOT NULL) = (status = 'failed')
        AND (cancelled_at IS NOT NULL) = (status = 'cancelled')
    ),
    CONSTRAINT failed_says_why CHECK ((last_error IS NOT NULL) = (status = 'failed')),
    CONSTRAINT incomplete_says_why CHECK (
        (incomplete_details IS NOT NULL) = (status = 'incomplete')
    ),
    CONSTRAINT action_is_named CHECK (
        (required_action IS NOT NULL) = (status = 'requires_action')
    ),
    CONSTRAINT work_has_started CHECK (
        started_at IS NOT NULL
        OR status NOT IN ('in_progress', 'requires_action', 'completed', 'incomplete')
    ),
    CONSTRAINT held_only_while_worked_on CHECK (
        worker_id IS NULL OR status IN ('in_progress', 'cancelling')
    ),
    CONSTRAINT finished_has_usage CHECK (
        usage IS NOT NULL OR status NOT IN ('completed', 'incomplete')
    )
) WITH (fillfactor = 80);
CREATE INDEX runs_by_thread ON runs (thread_id, sequence);
CREATE UNIQUE INDEX one_active_run_per_thread ON runs (thread_id)
WHERE status IN ('queued', 'in_progress', 'requires_action', 'cancelling');
CREATE INDEX runs_to_claim ON runs (run_after)
WHERE worker_id IS NULL AND status IN ('queued', 'in_progress');
CREATE INDEX runs_held ON runs (worker_id) WHERE worker_id IS NOT NULL;
CREATE INDEX runs_to_expire ON runs (expires_at)
WHERE status IN ('queued', 'in_progress', 'requires_action', 'cancelling');

CREATE TABLE messages (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL REFERENCES threads ON DELETE CASCADE,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    role text NOT NULL CHECK (role IN ('user', 'assistant')),
    content json NOT NULL,
    attachments json NOT NULL,
    metadata json NOT NULL,
    assistant_id text COLLATE "C",
    run_id text COLLATE "C",
    status text NOT NULL DEFAULT 'completed',
    completed_at timestamptz,
    incomplete_at timestamptz,
    incomplete_details json,
    request_sha256 bytea,
    CONSTRAINT status_is_known CHECK (status IN ('in_progress', 'incomplete', 'completed')),
    CONSTRAINT incomplete_says_why CHECK (
        (incomplete_details IS NOT NULL) = (status = 'incomplete')
        AND (incomplete_at IS NOT NULL) = (status = 'incomplete')
    )
);
CREATE INDEX messages_by_thread ON messages (thread_id, sequence);
CREATE INDEX messages_by_run ON messages (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE run_steps (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL REFERENCES runs ON DELETE CASCADE,
    assistant_id text COLLATE "C" NOT NULL,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    type text NOT NULL CHECK (type IN ('message_creation', 'tool_calls')),
    status text NOT NULL,
    step_details json NOT NULL,
    last_error json,
    expired_at timestamptz,
    cancelled_at timestamptz,
    failed_at timestamptz,
    completed_at timestamptz,
    usage json,
    CONSTRAINT status_is_known CHECK (
        status IN ('in_progress', 'cancelled', 'failed', 'completed', 'expired')
    ),
    CONSTRAINT only_the_ended_have_an_end CHECK (
        (completed_at IS NOT NULL) = (status = 'completed')
        AND (failed_at IS NOT NULL) = (status = 'failed')
        AND (cancelled_at IS NOT NULL) = (status = 'cancelled')
        AND (expired_at IS NOT NULL) = (status = 'expired')
    )
);
CREATE INDEX run_steps_by_run ON run_steps (run_id, sequence);

-- A worker process: one heartbeat for all the runs it holds. `number` names the advisory lock that
-- its session keeps, so that the end of the process shows at once.
CREATE TABLE workers (
    id text COLLATE "C" PRIMARY KEY,
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    host text NOT NULL,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    lost_at timestamptz
) WITH (fillfactor = 50);

-- One row: when the last sweep began, and since when there were sweeps without a gap. Whoever moves
-- it forward sweeps.
CREATE TABLE sweeps (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    swept_at timestamptz NOT NULL,
    unbroken_since timestamptz NOT NULL
);
INSERT INTO sweeps (swept_at, unbroken_since) VALUES ('-infinity', '-infinity');

CREATE TABLE answers (
    project_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    request_sha256 bytea NOT NULL,
    answer json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, key)
);
CREATE INDEX answers_by_age ON answers (created_at);
