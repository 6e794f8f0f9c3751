-- outside a transaction
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction, prefer-robust-stmts
-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid
-- A run waits in a lane, and in it among those of its project. Projects take turns, as many claims
-- each as their weight; running_runs is how many of a project's may be worked on at once (null:
-- what the settings say; 0: any number).

ALTER TABLE runs ADD COLUMN IF NOT EXISTS lane text COLLATE "C" NOT NULL DEFAULT 'conversation';
ALTER TABLE runs DROP CONSTRAINT IF EXISTS lane_is_known;
ALTER TABLE runs ADD CONSTRAINT lane_is_known CHECK (lane IN ('conversation', 'batch')) NOT VALID;
ALTER TABLE runs VALIDATE CONSTRAINT lane_is_known;
ALTER TABLE projects ADD COLUMN IF NOT EXISTS weight integer NOT NULL DEFAULT 1;
ALTER TABLE projects ADD COLUMN IF NOT EXISTS running_runs integer;
DROP INDEX CONCURRENTLY IF EXISTS runs_in_turn;
CREATE INDEX CONCURRENTLY runs_in_turn ON runs (lane, project_id, run_after)
WHERE worker_id IS NULL AND status IN ('queued', 'in_progress') AND run_after < 'infinity';
DROP INDEX CONCURRENTLY IF EXISTS runs_to_claim;
