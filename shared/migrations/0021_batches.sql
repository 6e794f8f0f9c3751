-- A batch: the lines of a file, each a request for a run, and at the end a file with the answers.
-- Its counts and tokens are of the lines whose runs have been collected.
CREATE TABLE batches (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    endpoint text NOT NULL,
    completion_window text NOT NULL,
    -- A name, not a reference: the file may be deleted, and its bytes stay while they are needed.
    input_file_id text COLLATE "C" NOT NULL,
    metadata json NOT NULL,
    output_life_seconds integer,
    status text NOT NULL DEFAULT 'validating',
    model text,
    errors json,
    output_file_id text COLLATE "C",
    error_file_id text COLLATE "C",
    in_progress_at timestamptz,
    finalizing_at timestamptz,
    completed_at timestamptz,
    failed_at timestamptz,
    expired_at timestamptz,
    cancelling_at timestamptz,
    cancelled_at timestamptz,
    total integer NOT NULL DEFAULT 0,
    completed integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    cached_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    reasoning_tokens bigint NOT NULL DEFAULT 0,
    -- The engine's own: how many of its runs there are at once, how far the file is read, whether
    -- its time was over before its end; when its next step is due, which is also until when whoever
    -- writes its files is left alone, and under which fence; and whether there is any step left.
    most_at_once integer NOT NULL,
    read_bytes bigint NOT NULL DEFAULT 0,
    read_lines integer NOT NULL DEFAULT 0,
    is_overdue boolean NOT NULL DEFAULT FALSE,
    step_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    fence bigint NOT NULL DEFAULT 0,
    is_settled boolean NOT NULL DEFAULT FALSE,

    CONSTRAINT status_is_known CHECK (status IN (
        'validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling',
        'cancelled'
    )),
    CONSTRAINT only_the_ended_have_an_end CHECK (
        (completed_at IS NOT NULL) = (status = 'completed')
        AND (failed_at IS NOT NULL) = (status = 'failed')
        AND (expired_at IS NOT NULL) = (status = 'expired')
        AND (cancelled_at IS NOT NULL) = (status = 'cancelled')
    )
) WITH (fillfactor = 80);
CREATE INDEX batches_by_project ON batches (project_id, sequence);
CREATE INDEX batches_to_advance ON batches (step_at) WHERE NOT is_settled;
CREATE INDEX batches_that_read ON batches (input_file_id) WHERE NOT is_settled;

-- Where in the file a line stands, the run that it became, and how that ended. A line that could
-- not become a run has the refusal instead. Once a batch has ended its lines are deleted.
CREATE TABLE batch_lines (
    batch_id text COLLATE "C" NOT NULL REFERENCES batches ON DELETE CASCADE,
    line integer NOT NULL,
    custom_id text COLLATE "C" NOT NULL,
    at_byte bigint NOT NULL,
    length integer NOT NULL,
    thread_id text COLLATE "C",
    run_id text COLLATE "C",
    attempts integer NOT NULL DEFAULT 0,
    outcome text,
    refusal json,
    PRIMARY KEY (batch_id, line),
    CONSTRAINT custom_id_is_unique UNIQUE (batch_id, custom_id),
    CONSTRAINT outcome_is_known CHECK (outcome IN ('completed', 'failed'))
);
CREATE INDEX batch_lines_waiting ON batch_lines (batch_id, line)
WHERE run_id IS NULL AND outcome IS NULL;
CREATE INDEX batch_lines_running ON batch_lines (batch_id, line)
WHERE run_id IS NOT NULL AND outcome IS NULL;
