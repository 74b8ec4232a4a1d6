"""olah, a real mirror of Hugging Face's hub, as a process that serves git repositories offline.

olah 0.5.4 reads a repository with `git` (through GitPython), so `git` must be there. What it does not do: it ignores
Range (200 with everything), never redirects, gives LFS files the etag of their SHA-256 without quotes and no
`X-Linked-*`, has no gated repositories, and answers `GET /api/models/{id}` without a revision with 401.
In front of it stands a server of ours that counts and injects faults; clients are given the URL of that one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.hubs.repository import Repository
from tests.hubs.serving import Server, forward
from tests.ports import free_port

START = 60  # seconds that it may take on a busy machine
CONFIG = """
[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{folder}/cache"
mirrors-path = ["{folder}/mirror"]

[accessibility]
offline = true
"""


class Olah:
    """The process with some repositories under `folder`; a context manager."""

    def __init__(self, folder: Path, *repositories: Repository) -> None:
        if shutil.which("git") is None:
            raise RuntimeError("olah reads its repositories with git: install git")
        for repository in repositories:
            repository.write(folder / "mirror" / "models" / repository.owner / repository.name)
        port = free_port()
        (folder / "olah.toml").write_text(CONFIG.format(port=port, folder=folder), encoding="utf-8")
        self._log = folder / "olah.log"
        self._process = _start(folder, self._log)
        self.server = Server(forward(f"http://127.0.0.1:{port}"))
        self.url = self.server.url
        try:
            self._await(f"http://127.0.0.1:{port}/repos")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Olah:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self.server.close()
        self._process.terminate()
        self._process.wait(30)

    def _await(self, url: str) -> None:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + START
        while self._process.poll() is None and time.monotonic() < end:
            try:
                direct.open(url, timeout=5).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"olah did not start:\n{self._log.read_text(encoding='utf-8')[-2000:]}")


def _start(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    # Whoever runs the tests may not own the folder that git looks into.
    safe = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    arguments = ["-c", str(folder / "olah.toml"), "--log-path", str(folder / "logs")]
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "olah.server", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**kept, **safe, "HOME": str(folder)},
        )
