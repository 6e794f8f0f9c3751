-- Vectors, and what is nearest to one. Whoever migrates may create it where it is a trusted
-- extension and the database is theirs; elsewhere its owner does so once (shared/schema.py says it).
CREATE EXTENSION IF NOT EXISTS vector;

-- Searches in large stores need its iterative scans.
DO $$ BEGIN
    IF (SELECT string_to_array(extversion, '.')::integer[] FROM pg_extension
        WHERE extname = 'vector') < ARRAY[0, 8] THEN
        RAISE EXCEPTION 'its pgvector is older than 0.8' USING ERRCODE = 'feature_not_supported';
    END IF;
END $$;
