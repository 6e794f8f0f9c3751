"""How a batch is worked off. Its lines are requests as the API judges them, and its output is
answers as the API gives them; so it is API processes that turn the one into runs and these into the
other, and the workers know runs only.
"""
