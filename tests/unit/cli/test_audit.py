"""The audit, with uv as it is and a vulnerability service that knows one thing."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.cli.scripts import a_script

BAD = "GHSA-aaaa-bbbb-cccc"


class Service(BaseHTTPRequestHandler):
    """Has heard something about `bad`, and is asked about all packages at once."""

    asked: list[str]

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        names = [query["package"]["name"] for query in queries]
        self.asked.extend(names)
        known = {"vulns": [{"id": BAD, "modified": "2026-01-01T00:00:00Z"}]}
        self._answer({"results": [known if name == "bad" else {} for name in names]})

    def do_GET(self) -> None:
        events = [{"introduced": "0"}, {"fixed": "1.1"}]
        package = {"ecosystem": "PyPI", "name": "bad"}
        affected = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        times = dict.fromkeys(("modified", "published"), "2026-01-01T00:00:00Z")
        self._answer({"id": BAD, "summary": "It is bad.", "affected": [affected], **times})

    def _answer(self, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    script = a_script("audit")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return script


@pytest.fixture
def service() -> Iterator[str]:
    Service.asked = []
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def lock(directory: Path, *names: str) -> None:
    text = "".join(f"{name}==1.0 \\\n    --hash=sha256:aa\n" for name in names)
    (directory / "requirements.lock").write_text(text)


def test_all_that_is_pinned_is_asked_about(
    audit: ModuleType, service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(tmp_path, "good", "fine")
    assert audit.main(["--service-url", service]) == 0
    assert sorted(Service.asked) == ["fine", "good"]
    assert "2 of 2 packages asked about, 0 known" in capsys.readouterr().out


def test_what_is_known_against_one_fails(
    audit: ModuleType, service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(tmp_path, "good", "bad")
    assert audit.main(["--service-url", service]) == 1
    told = capsys.readouterr().out
    assert f"bad 1.0: {BAD} It is bad." in told
    assert "mended in 1.1" in told


def test_where_the_service_is_not_reached_nobody_says_that_all_is_well(
    audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(tmp_path, "good")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert audit.main(["--service-url", f"http://127.0.0.1:{port}"]) == audit.NOT_DONE
    assert capsys.readouterr().out.startswith("audit: NOT DONE")


def test_an_audit_that_uv_does_not_make_fails(
    audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(tmp_path, "good")
    assert audit.main(["--no-such-option"]) == 1
    assert "unexpected argument" in capsys.readouterr().out


@pytest.mark.parametrize("checked", [{"one": 75}, {"one": 0, "two": 75}])
def test_a_check_that_could_not_be_made_is_named_and_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checked: dict[str, int]
) -> None:
    checks = a_script("checks")
    monkeypatch.setattr(checks, "CHECKS", {name: [name] for name in checked})
    monkeypatch.setattr(checks, "status_of", lambda words: checked[words[0]])
    assert checks.main() == 0
    assert capsys.readouterr().out.endswith(
        f"NOT CHECKED, for it cannot be here: {[*checked][-1]}\n"
    )


def test_a_check_that_fails_is_named_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = a_script("checks")
    ends = {"one": 1, "two": 0, "three": 75}
    monkeypatch.setattr(checks, "CHECKS", {name: [name] for name in ends})
    monkeypatch.setattr(checks, "status_of", lambda words: ends[words[0]])
    assert checks.main() == 1
    assert "failed: one\n" in capsys.readouterr().out
