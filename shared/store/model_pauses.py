"""Pauses of a model: its server said that it wants to be left alone, and all workers heed it."""

from shared.db import Transaction


def pause(tx: Transaction, model: str, seconds: float) -> None:
    """`model` as runs ask for it. A pause is never shortened."""
    tx.execute(
        "INSERT INTO model_pauses (model, until)"
        " VALUES (%(model)s, now() + make_interval(secs => %(seconds)s))"
        " ON CONFLICT (model) DO UPDATE SET until = greatest(model_pauses.until, EXCLUDED.until)",
        {"model": model, "seconds": seconds},
    )


def forget_over(tx: Transaction) -> None:
    tx.execute("DELETE FROM model_pauses WHERE until < now() - interval '1 minute'")
