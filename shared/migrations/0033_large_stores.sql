-- outside a transaction
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction, prefer-robust-stmts
-- HNSW is most of what writing a chunk costs, and is read in large stores only: so only chunks of
-- large stores are in it. A store that is large stays so. Those of its chunks that were written
-- before it was are turned over by workers, bit by bit; until then they are compared one by one, as
-- all of a small store are (shared/store/nearest.py).
-- The version before this one finds no index for its question while it still serves: it compares
-- large stores one by one, which is right and slow. What it writes is turned over later.

ALTER TABLE vector_stores ADD COLUMN IF NOT EXISTS is_large boolean NOT NULL DEFAULT FALSE;
ALTER TABLE chunks ADD COLUMN IF NOT EXISTS in_large_store boolean NOT NULL DEFAULT FALSE;
DROP INDEX CONCURRENTLY IF EXISTS chunks_in_store;
CREATE INDEX CONCURRENTLY chunks_in_store ON chunks (vector_store_id, in_large_store);
DROP INDEX CONCURRENTLY IF EXISTS chunks_of_store;
DROP INDEX CONCURRENTLY IF EXISTS vector_stores_large;
CREATE INDEX CONCURRENTLY vector_stores_large ON vector_stores (id) WHERE is_large;
DROP INDEX CONCURRENTLY IF EXISTS chunks_nearest_384;
CREATE INDEX CONCURRENTLY chunks_nearest_384 ON chunks
USING hnsw ((embedding::halfvec(384)) halfvec_cosine_ops) WHERE dimensions = 384 AND in_large_store;
DROP INDEX CONCURRENTLY IF EXISTS chunks_nearest_768;
CREATE INDEX CONCURRENTLY chunks_nearest_768 ON chunks
USING hnsw ((embedding::halfvec(768)) halfvec_cosine_ops) WHERE dimensions = 768 AND in_large_store;
DROP INDEX CONCURRENTLY IF EXISTS chunks_nearest_1024;
CREATE INDEX CONCURRENTLY chunks_nearest_1024 ON chunks
USING hnsw ((embedding::halfvec(1024)) halfvec_cosine_ops)
WHERE dimensions = 1024 AND in_large_store;
DROP INDEX CONCURRENTLY IF EXISTS chunks_nearest_1536;
CREATE INDEX CONCURRENTLY chunks_nearest_1536 ON chunks
USING hnsw ((embedding::halfvec(1536)) halfvec_cosine_ops)
WHERE dimensions = 1536 AND in_large_store;
DROP INDEX CONCURRENTLY IF EXISTS chunks_nearest_3072;
CREATE INDEX CONCURRENTLY chunks_nearest_3072 ON chunks
USING hnsw ((embedding::halfvec(3072)) halfvec_cosine_ops)
WHERE dimensions = 3072 AND in_large_store;
-- As many as shared/store/nearest.py has compared one by one.
UPDATE vector_stores SET is_large = TRUE WHERE NOT is_large AND (
    SELECT count(*) FROM (
        SELECT FROM chunks WHERE vector_store_id = vector_stores.id LIMIT 20001
    ) AS held
) > 20000;
