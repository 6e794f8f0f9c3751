-- outside a transaction
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction, prefer-robust-stmts
-- Those in line do not count.

DROP INDEX CONCURRENTLY IF EXISTS one_run_at_a_time;
CREATE UNIQUE INDEX CONCURRENTLY one_run_at_a_time ON runs (thread_id)
WHERE status IN ('queued', 'in_progress', 'requires_action', 'cancelling')
AND run_after < 'infinity';
DROP INDEX CONCURRENTLY IF EXISTS runs_in_line;
CREATE INDEX CONCURRENTLY runs_in_line ON runs (thread_id, sequence)
WHERE status = 'queued' AND run_after = 'infinity';
DROP INDEX CONCURRENTLY IF EXISTS one_active_run_per_thread;
