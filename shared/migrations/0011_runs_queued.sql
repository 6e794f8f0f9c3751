-- outside a transaction
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction, prefer-robust-stmts
-- How many runs of a project wait is counted up to its limit, in this order so that nothing but
-- this index may serve for it, whatever the statistics say.

DROP INDEX CONCURRENTLY IF EXISTS runs_queued;
CREATE INDEX CONCURRENTLY runs_queued ON runs (project_id, sequence) WHERE status = 'queued';
