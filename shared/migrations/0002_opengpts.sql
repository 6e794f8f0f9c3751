-- What the OpenGPTs dialect knows beyond the assistant or thread that its object is. Its ids are
-- chosen by clients, so each user of a project has a namespace of their own.

CREATE TABLE opengpts_assistants (
    project_id text COLLATE "C" NOT NULL REFERENCES projects,
    user_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    assistant_id text COLLATE "C" NOT NULL UNIQUE REFERENCES assistants ON DELETE CASCADE,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    public boolean NOT NULL,
    config json NOT NULL,
    PRIMARY KEY (project_id, user_id, id)
);
CREATE INDEX opengpts_assistants_public ON opengpts_assistants (project_id, id, sequence)
WHERE public;

-- Here assistant_id is what the client said: it may name no assistant, now or ever.
CREATE TABLE opengpts_threads (
    project_id text COLLATE "C" NOT NULL REFERENCES projects,
    user_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL UNIQUE REFERENCES threads ON DELETE CASCADE,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    name text NOT NULL,
    assistant_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (project_id, user_id, id)
);
