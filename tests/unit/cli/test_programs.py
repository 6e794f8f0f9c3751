import socket
from pathlib import Path

import pytest

from cli.embedded.home import Home
from cli.embedded.processes import StartError
from cli.embedded.programs import Address
from cli.embedded.stack import Stack, beyond_proxies
from shared.settings import Settings


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8100/v1"),
        ("0.0.0.0", "http://127.0.0.1:8100/v1"),
        ("::", "http://[::1]:8100/v1"),
        ("treadle.example", "http://treadle.example:8100/v1"),
    ],
)
def test_a_client_on_this_machine_is_given_an_address_it_can_reach(
    host: str, base_url: str
) -> None:
    assert Address(host, 8100).base_url == base_url


@pytest.mark.parametrize(
    ("host", "given", "opened"),
    [
        ("127.0.0.1", "", ""),
        ("localhost", "", ""),
        ("0.0.0.0", "", None),
        ("192.0.2.1", "", None),
        ("0.0.0.0", "key_1", None),
        ("127.0.0.1", "key_1", None),
    ],
)
def test_a_project_is_opened_by_itself_only_where_this_machine_alone_reaches_it(
    host: str, given: str, opened: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first key is made its id is empty."""
    monkeypatch.delenv("TREADLE_OPENGPTS_PROJECT", raising=False)
    stack = Stack(Settings(host=host, opengpts_project=given), Home(tmp_path), lambda _: None)
    assert stack.environment().get("TREADLE_OPENGPTS_PROJECT") == opened


def test_a_port_in_use_is_refused_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.embedded.programs.PORT_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"Port {port} .* in use: .* TREADLE_PORT"):
            Address("127.0.0.1", port).require_free()


def test_a_host_that_is_not_this_machine_is_refused() -> None:
    with pytest.raises(StartError, match=r"TREADLE_HOST 192\.0\.2\.1 cannot be used"):
        Address("192.0.2.1", 8100).require_free()


def test_no_proxy_stands_between_our_own_processes() -> None:
    environment = beyond_proxies({"HTTP_PROXY": "http://proxy", "NO_PROXY": "intranet"})
    assert environment["NO_PROXY"] == "intranet,127.0.0.1,localhost,::1"
    assert environment["no_proxy"] == "127.0.0.1,localhost,::1"
