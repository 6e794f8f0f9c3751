"""Chunks by their words: which have those of a question.

Any of them will do, the rarer the better: a question has some that no answer has. A word that very
many chunks of a large store have says little of any and costs the more, so such words are looked
for together.
"""

from typing import Any, LiteralString

from shared.db import Transaction
from shared.store.nearest import Place

_MOST_WORDS = 32
# Of one word.
_MOST_HITS = 5000
_MOST_TOGETHER = 4
_QUOTED: LiteralString = "array_to_tsvector(ARRAY[word])::text"
# As the index is (0034_words_in_stores.sql).
_INDEXED: LiteralString = (
    "words || array_to_tsvector(ARRAY[' ' || chunks.vector_store_id])"
    " @@ (term && (SELECT string_agg(array_to_tsvector(ARRAY[' ' || id])::text, ' | ')::tsquery"
    " FROM unnest(%(store_ids)s::text[]) AS id))"
)
# Estimated by what PostgreSQL knows of the table: the commonest words, and the largest stores.
_COMMON: LiteralString = (
    "WITH held AS (SELECT sum(share * reltuples) AS chunks FROM pg_class JOIN pg_stats"
    " ON (schemaname, tablename) = (relnamespace::regnamespace::text, relname),"
    " unnest(most_common_vals::text::text[], most_common_freqs) AS common (id, share)"
    " WHERE pg_class.oid = 'chunks'::regclass AND attname = 'vector_store_id'"
    " AND id = ANY(%(store_ids)s))"
    " SELECT word FROM held, pg_class JOIN pg_stats"
    " ON (schemaname, tablename) = (relnamespace::regnamespace::text, relname),"
    " unnest(most_common_elems::text::text[], most_common_elem_freqs) AS common (word, share)"
    " WHERE pg_class.oid = 'chunks'::regclass AND attname = 'words'"
    " AND word = ANY(%(words)s) AND share * chunks > %(most_hits)s ORDER BY share"
)


def rank(
    tx: Transaction,
    condition: LiteralString,
    asked: dict[str, Any],
    text: str,
    *,
    any_large: bool,
) -> list[Place]:
    """The best first, as many as asked["depth"]; `condition` says of what."""
    words: list[str] = tx.values(
        "SELECT lexeme FROM unnest(to_tsvector('english', %(text)s))"
        " ORDER BY positions[1], lexeme LIMIT %(most)s",
        {"text": text, "most": _MOST_WORDS},
    )
    if not words:
        return []
    given = {**asked, "most_hits": _MOST_HITS}
    common = tx.values(_COMMON, {**given, "words": words}) if any_large else []
    rare = [word for word in words if word not in common]
    places = _ranked(tx, condition, given, rare, common[:_MOST_TOGETHER])
    if common and not places:
        # No chunk has all of them, and there are no others: then the rarest alone.
        return _ranked(tx, condition, given, common[:1], [])
    return places


def _ranked(
    tx: Transaction,
    condition: LiteralString,
    given: dict[str, Any],
    words: list[str],
    together: list[str],
) -> list[Place]:
    return tx.all(
        Place,
        "WITH terms AS (SELECT (" + _QUOTED + ")::tsquery AS term"
        " FROM unnest(%(words)s::text[]) AS word UNION ALL"
        " SELECT string_agg(" + _QUOTED + ", ' & ')::tsquery"
        " FROM unnest(%(together)s::text[]) AS word HAVING count(*) > 0),"
        " hits AS (SELECT term, hit.* FROM terms, LATERAL"
        " (SELECT ingestion, number, ts_rank(words, term, 1) AS frequency FROM chunks"
        " JOIN vector_store_files AS files ON files.sequence = ingestion WHERE "
        + _INDEXED
        + condition
        + " LIMIT %(most_hits)s) AS hit), rarities AS (SELECT term,"
        " ln(1 + (greatest(%(held)s - count(*), 0) + 0.5) / (count(*) + 0.5)) AS rarity"
        " FROM hits GROUP BY term) SELECT ingestion, number FROM hits JOIN rarities USING (term)"
        " GROUP BY ingestion, number ORDER BY sum(frequency * rarity) DESC, ingestion, number"
        " LIMIT %(depth)s",
        {**given, "words": words, "together": together},
    )
