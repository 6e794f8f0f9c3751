"""How many connections each of the API's processes has, where all of them can read it.

All wait for the next connections, and whoever is awake takes them: one process may end with most of
them, whose clients then wait for it while another has little to do. Who has clearly more than
another leaves new ones to that for a moment.
"""

import mmap

_NOBODY = -1


class Place:
    """One process's count, which only that process changes; the first takes it back in the end."""

    def __init__(self, counts: memoryview, index: int) -> None:
        self._counts = counts
        self._index = index

    def add(self, connections: int) -> None:
        self._counts[self._index] += connections

    def has_more_than_another(self) -> bool:
        """By an eighth at least: to be exact would be to take many that come at once one by one."""
        own = self._counts[self._index]
        return any(count > _NOBODY and own > count + count // 8 for count in self._counts)

    def leave(self) -> None:
        self._counts[self._index] = _NOBODY


class Crowd:
    """Of gunicorn's first process, which gives each that it forks a place."""

    def __init__(self, places: int) -> None:
        # Shared with all that are forked from here.
        self._counts = memoryview(mmap.mmap(-1, 4 * places)).cast("i")
        for index in range(places):
            self._counts[index] = _NOBODY

    def enter(self) -> Place:
        for index, count in enumerate(self._counts):
            if count == _NOBODY:
                self._counts[index] = 0
                return Place(self._counts, index)
        # More than were expected: it compares itself with nobody.
        return Place(memoryview(bytearray(4)).cast("i"), 0)
