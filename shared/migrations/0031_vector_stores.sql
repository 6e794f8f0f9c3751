CREATE TABLE vector_stores (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    name text,
    description text,
    metadata json NOT NULL,
    last_active_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_after_days integer,
    expires_at timestamptz,
    -- The engine's own: it has expired, and what was made of its files is deleted.
    is_cleared boolean NOT NULL DEFAULT FALSE,

    CONSTRAINT only_what_expires_has_an_end CHECK (
        (expires_at IS NULL) = (expires_after_days IS NULL)
    )
) WITH (fillfactor = 80);
CREATE INDEX vector_stores_by_project ON vector_stores (project_id, sequence);
CREATE INDEX vector_stores_to_expire ON vector_stores (expires_at)
WHERE expires_at IS NOT NULL AND NOT is_cleared;

-- A file in a store. Put in again it is another row, so that what was made of it under one sequence
-- is never mixed with what was made under another. Counts are counted: of an index, and never wrong.
CREATE TABLE vector_store_files (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vector_store_id text COLLATE "C" NOT NULL REFERENCES vector_stores,
    file_id text COLLATE "C" NOT NULL REFERENCES files,
    project_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status text NOT NULL DEFAULT 'in_progress',
    last_error json,
    usage_bytes bigint NOT NULL DEFAULT 0,
    max_chunk_size_tokens integer NOT NULL,
    chunk_overlap_tokens integer NOT NULL,
    attributes jsonb NOT NULL,
    -- The engine's own: what its vectors were made by, if it has any; who holds it, under which
    -- fence; and when it may next be claimed.
    embedding_model text,
    worker_id text COLLATE "C",
    fence bigint NOT NULL DEFAULT 0,
    ingest_after timestamptz NOT NULL DEFAULT clock_timestamp(),
    lapses integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,

    CONSTRAINT a_file_is_in_a_store_once UNIQUE (vector_store_id, file_id),
    CONSTRAINT status_is_known CHECK (status IN (
        'in_progress', 'completed', 'failed', 'cancelled'
    )),
    CONSTRAINT failed_says_why CHECK ((last_error IS NOT NULL) = (status = 'failed')),
    CONSTRAINT held_only_while_worked_on CHECK (worker_id IS NULL OR status = 'in_progress')
) WITH (fillfactor = 80);
CREATE INDEX vector_store_files_in_order ON vector_store_files (vector_store_id, sequence);
CREATE INDEX vector_store_files_counted ON vector_store_files (vector_store_id, status)
INCLUDE (usage_bytes);
CREATE INDEX vector_store_files_of_file ON vector_store_files (file_id);
CREATE INDEX vector_store_files_waiting ON vector_store_files (project_id, sequence)
WHERE status = 'in_progress' AND worker_id IS NULL;
CREATE INDEX vector_store_files_held ON vector_store_files (worker_id) WHERE worker_id IS NOT NULL;

CREATE TABLE vector_store_file_batches (
    id text COLLATE "C" PRIMARY KEY,
    vector_store_id text COLLATE "C" NOT NULL REFERENCES vector_stores ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    cancelled_at timestamptz
);
CREATE INDEX vector_store_file_batches_of_store ON vector_store_file_batches (vector_store_id);

-- What came with a batch, or was there already when it came.
CREATE TABLE vector_store_batch_files (
    batch_id text COLLATE "C" NOT NULL REFERENCES vector_store_file_batches ON DELETE CASCADE,
    ingestion bigint NOT NULL REFERENCES vector_store_files ON DELETE CASCADE,
    PRIMARY KEY (batch_id, ingestion)
);
CREATE INDEX vector_store_batch_files_of_ingestion ON vector_store_batch_files (ingestion);
