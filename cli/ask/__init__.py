"""`treadle ask`: all questions of a file, none twice, none lost.

The answers are a file that only grows, by whole lines; a journal beside it says which runs were
begun for which lines. Both are cut at the first torn line when a job is taken up again.
"""
