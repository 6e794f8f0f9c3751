"""Stands where the local model cannot run: `python -m cli.embedded.no_model PORT SENTENCE`.

Every question is refused with the sentence, so a run fails at once and says what is missing.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Refusal(BaseHTTPRequestHandler):
    sentence = ""

    def do_GET(self) -> None:
        self._refuse()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._refuse()

    def _refuse(self) -> None:
        error = {"message": self.sentence, "type": "invalid_request_error", "code": "no_model"}
        body = json.dumps({"error": error}).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    Refusal.sentence = sys.argv[2]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Refusal).serve_forever()
