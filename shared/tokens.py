"""How many tokens a text is, where nobody counts them: one for three bytes of UTF-8, too high for
most text."""

BYTES_PER_TOKEN = 3


def estimate(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)
