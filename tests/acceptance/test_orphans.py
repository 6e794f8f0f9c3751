"""API processes whose listening process was killed: they end, and do so in good order."""

import threading

import httpx2

from tests.acceptance.conftest import Stack, wait_until


def test_an_orphaned_api_process_serves_what_it_was_brought_and_then_ends(stack: Stack) -> None:
    """On kept connections requests come up to the very end: each is served, or not taken."""
    stack.start_api()
    statuses: set[int] = set()
    left = threading.Semaphore(0)

    def ask_until_refused() -> None:
        client = stack.http()
        try:
            while True:
                statuses.add(client.get("/assistants").status_code)
        except httpx2.TransportError:
            left.release()

    for _ in range(8):
        threading.Thread(target=ask_until_refused, daemon=True).start()
    wait_until(lambda: 200 in statuses, 10, "the first answers")
    stack.running[0].kill()
    for _ in range(8):
        assert left.acquire(timeout=20)
    assert statuses == {200}
