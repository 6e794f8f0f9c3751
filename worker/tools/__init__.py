"""Tools that runs have and workers carry out; functions are their callers'."""
