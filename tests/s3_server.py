"""An S3 of our own over HTTP: JuiceFS's gateway, which answers with MinIO's code, on a directory.

It judges signatures, keeps multipart uploads and reads ranges as any S3 does. Nobody else reaches it.
"""

import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from subprocess import DEVNULL, check_call
from typing import Any, Self
from urllib.request import urlopen

from botocore.config import Config
from botocore.session import Session

from cli.embedded.processes import Child

START_SECONDS = 40
KEY, SECRET = "tester", "a-secret-of-tests"
PROGRAM = Path(sys.executable).with_name("juicefs")


class S3Server:
    """State in `directory`; the same port after a restart."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._state = f"sqlite3://{self.directory}/state.db"
        self._process = Child(
            "S3",
            self._command(),
            self.directory / "s3.log",
            environment=self._environment(),
            directory=self.directory,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """By which any client of AWS finds it."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> Any:
        session: Any = Session()
        return session.create_client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(request_checksum_calculation="when_required"),
        )

    def start(self) -> None:
        self._process.start()
        self._process.wait_until(self._answers, START_SECONDS)

    def kill(self) -> None:
        self._process.kill()

    def freeze(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        kept = f"{self.directory}/kept/"
        words = ["format", "--storage", "file", "--bucket", kept, "--trash-days", "0"]
        command = [str(PROGRAM), *words, self._state, "tests"]
        check_call(command, env=self._environment(), stdout=DEVNULL, stderr=DEVNULL)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Only its log is worth keeping."""
        self._process.kill()
        shutil.rmtree(self.directory / "kept")

    def _command(self) -> list[str]:
        words = ["gateway", "--multi-buckets", "--keep-etag", "--no-banner", "--no-usage-report"]
        words += ["--no-bgjob", "--backup-meta", "0", "--metrics", "127.0.0.1:0"]
        words += ["--cache-dir", f"{self.directory}/cache", "--cache-size", "0"]
        words += ["--log", f"{self.directory}/gateway.log"]
        return [str(PROGRAM), *words, self._state, f"127.0.0.1:{self.port}"]

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.directory),
            "PATH": os.defpath,
            "MINIO_ROOT_USER": KEY,
            "MINIO_ROOT_PASSWORD": SECRET,
            "MINIO_UPDATE": "off",
            "MINIO_BROWSER": "off",
        }

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/minio/health/live", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False
