"""llama-server as a process, and what one asks of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.oracle.build import tool
from tests.ports import free_port

_PATIENCE_S: Final = 120


class Server:
    """A running server."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def ask(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        """Posts JSON and gets JSON."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, json.dumps(question).encode(), headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise RuntimeError(f"llama-server answers {path} with {error.code}: {said}") from error

    def is_ready(self) -> bool:
        """Whether the model is loaded."""
        try:
            with urllib.request.urlopen(self._address + "/health") as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False


@contextmanager
def serving(model: Path, context: int, threads: int, log: Path) -> Generator[Server, None, None]:
    """llama-server with its own defaults, but for the context and the threads."""
    port = free_port()
    command = [str(tool("llama-server")), "-m", str(model), "-c", str(context), "-t", str(threads)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            server = Server(port)
            _wait(server, process, log)
            yield server
        finally:
            process.terminate()
            process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not server.is_ready():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"llama-server did not start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)
