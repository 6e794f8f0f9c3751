-- What a file is; its bytes lie in a directory, under its id (shared/blobs.py). The row is written
-- when the bytes are complete.
CREATE TABLE files (
    id text COLLATE "C" PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL REFERENCES projects,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    purpose text NOT NULL,
    filename text NOT NULL,
    size bigint NOT NULL,
    sha256 bytea NOT NULL
);
CREATE INDEX files_by_project ON files (project_id, sequence);
CREATE INDEX files_by_purpose ON files (project_id, purpose, sequence);
CREATE INDEX files_to_expire ON files (expires_at) WHERE expires_at IS NOT NULL;

-- Bytes that no file has: they are being written, or their file is gone. Deleted when due.
CREATE TABLE unowned_blobs (
    id text COLLATE "C" PRIMARY KEY,
    due_at timestamptz NOT NULL
);
CREATE INDEX unowned_blobs_due ON unowned_blobs (due_at);
