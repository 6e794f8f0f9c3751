-- A key's own limits. Null: what the settings say; 0: none.
ALTER TABLE keys ADD COLUMN requests_per_minute integer;
ALTER TABLE keys ADD COLUMN queued_runs integer;
