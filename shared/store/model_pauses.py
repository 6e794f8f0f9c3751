"""Pauses of a model: its server said that it wants to be left alone, and all workers heed it: no
run of that model is claimed, or no file where it is the one that makes vectors. A search does not
heed it: somebody waits for it, and it is one request."""

from shared.db import Transaction

LONGEST_SECONDS = 30.0


def pause(tx: Transaction, model: str, seconds: float) -> None:
    """`model` as runs ask for it. A pause is never shortened. A server that asks for more than a
    while is asked again after that while, in case it was mistaken."""
    tx.execute(
        "INSERT INTO model_pauses (model, until)"
        " VALUES (%(model)s, now() + make_interval(secs => %(seconds)s))"
        " ON CONFLICT (model) DO UPDATE SET until = greatest(model_pauses.until, EXCLUDED.until)",
        {"model": model, "seconds": min(seconds, LONGEST_SECONDS)},
    )


def forget_over(tx: Transaction) -> None:
    tx.execute("DELETE FROM model_pauses WHERE until < now() - interval '1 minute'")
