"""What the process that reads a file says of it, and the bounds that both sides keep."""

# Of text, in bytes: about five million tokens.
MOST_TEXT = 20 * 1024 * 1024
# How the process ends that found no text and says why, as `code message` in one line.
UNREADABLE = 3

UNSUPPORTED = "unsupported_file"
INVALID = "invalid_file"
