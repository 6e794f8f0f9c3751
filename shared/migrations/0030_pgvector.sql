-- Vectors, and what is nearest to one. Whoever migrates may create it where it is a trusted
-- extension and the database is theirs; elsewhere its owner does so once (shared/schema.py says it).
CREATE EXTENSION IF NOT EXISTS vector;
