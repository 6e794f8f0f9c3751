-- What a file in a store is made of: pieces of its text, to be found by their words and, where a
-- model makes them, by their vectors. Written in one transaction with the file's end, so that none
-- is seen before. No reference to the file: a store of a hundred thousand chunks is deleted at once,
-- and its chunks bit by bit after it (unowned_chunks). Who reads chunks joins their file.
CREATE TABLE chunks (
    ingestion bigint NOT NULL,
    number integer NOT NULL,
    vector_store_id text COLLATE "C" NOT NULL,
    text text NOT NULL,
    -- How many characters at its beginning the chunk before it has too.
    repeated integer NOT NULL,
    -- Any language: the words of a question and of a text are cut by the same rules.
    words tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('english', text)) STORED,
    -- In half precision, which costs half the room and finds the same.
    embedding halfvec,
    dimensions integer GENERATED ALWAYS AS (vector_dims(embedding)) STORED,
    PRIMARY KEY (ingestion, number)
);
CREATE INDEX chunks_of_store ON chunks (vector_store_id);
CREATE INDEX chunks_by_word ON chunks USING gin (words);

-- HNSW wants to know how long its vectors are. So there is one index for each length that common
-- models have, of the rows that have it: the others are empty and cost nothing, and changing the
-- model needs no change of the schema. A small store, and vectors of any other length, are searched
-- exactly, which is as fast there and misses nothing (shared/store/chunks.py).
CREATE INDEX chunks_nearest_384 ON chunks
USING hnsw ((embedding::halfvec(384)) halfvec_cosine_ops) WHERE dimensions = 384;
CREATE INDEX chunks_nearest_768 ON chunks
USING hnsw ((embedding::halfvec(768)) halfvec_cosine_ops) WHERE dimensions = 768;
CREATE INDEX chunks_nearest_1024 ON chunks
USING hnsw ((embedding::halfvec(1024)) halfvec_cosine_ops) WHERE dimensions = 1024;
CREATE INDEX chunks_nearest_1536 ON chunks
USING hnsw ((embedding::halfvec(1536)) halfvec_cosine_ops) WHERE dimensions = 1536;
CREATE INDEX chunks_nearest_3072 ON chunks
USING hnsw ((embedding::halfvec(3072)) halfvec_cosine_ops) WHERE dimensions = 3072;

-- Ingestions that are no more, and may have left chunks.
CREATE TABLE unowned_chunks (
    ingestion bigint PRIMARY KEY
);
