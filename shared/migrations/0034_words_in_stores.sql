-- outside a transaction
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction, prefer-robust-stmts
-- A word is looked for in a store and not in all there are: the store's id is in the index as one
-- word more, which no text has, since none of a text's begins with a space. What many chunks of other
-- stores have is passed over then. The version before this one asks for words without a store: while
-- it still serves, it looks at each chunk of the store, which is right and slow.

DROP INDEX CONCURRENTLY IF EXISTS chunks_by_word_in_store;
CREATE INDEX CONCURRENTLY chunks_by_word_in_store ON chunks
USING gin ((words || array_to_tsvector(ARRAY[' ' || vector_store_id])));
DROP INDEX CONCURRENTLY IF EXISTS chunks_by_word;
-- The planner and searches want to know how common words are.
ANALYZE chunks;
