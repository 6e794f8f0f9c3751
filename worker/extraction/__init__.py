"""Text from what people have: a file's bytes are looked into by a process of its own, which has
little memory and time, none of the worker's secrets, and says the text or why there is none."""
