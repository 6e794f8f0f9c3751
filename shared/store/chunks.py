"""Chunks: the pieces of text that a file in a vector store is made of. Read with their file only:
those of one that is gone, or not completed, are nobody's."""

from dataclasses import dataclass

from shared.db import Transaction


@dataclass(frozen=True)
class Piece:
    text: str
    repeated: int  # characters at its beginning that the piece before it has too


def of_file(tx: Transaction, store_id: str, file_id: str) -> list[Piece]:
    """In their order. The store is the caller's."""
    return tx.all(
        Piece,
        "SELECT text, repeated FROM chunks JOIN vector_store_files AS files"
        " ON files.sequence = ingestion WHERE files.vector_store_id = %(vector_store_id)s"
        " AND file_id = %(file_id)s AND status = 'completed' ORDER BY number",
        {"vector_store_id": store_id, "file_id": file_id},
    )


def clear(tx: Transaction, most: int) -> bool:
    """Deletes chunks whose file is no more, so many at most. Whether there were any to look for."""
    ingestions = tx.values(
        "SELECT ingestion FROM unowned_chunks ORDER BY ingestion LIMIT %(most)s"
        " FOR UPDATE SKIP LOCKED",
        {"most": most},
    )
    deleted = tx.execute(
        "DELETE FROM chunks WHERE (ingestion, number) IN (SELECT ingestion, number FROM chunks"
        " WHERE ingestion = ANY(%(ingestions)s) LIMIT %(most)s)",
        {"ingestions": ingestions, "most": most},
    )
    if deleted < most:
        tx.execute(
            "DELETE FROM unowned_chunks WHERE ingestion = ANY(%(ingestions)s)",
            {"ingestions": ingestions},
        )
    return bool(ingestions)
