"""Environments for servers of others: virtual ones for Python, folders of packages for Node.js; made once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".mcp-servers"


def python_environment(name: str, *packages: str) -> Path:
    """The folder of the programs that `packages` bring."""
    folder = CACHE / name

    def make() -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)

    return made(folder, " ".join(packages), make) / "bin"


def node_environment(name: str, *packages: str) -> Path:
    """The folder of packages, with `.bin` in it."""
    folder = CACHE / name

    def make() -> None:
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true}')
        npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", *packages]
        subprocess.run(npm, cwd=folder, check=True)

    return made(folder, " ".join(packages), make) / "node_modules"


def made(folder: Path, what: str, make: Callable[[], None]) -> Path:
    """Make a folder unless it holds exactly `what`; half of it is made anew."""
    stamp = folder / "made-of"
    if not (stamp.exists() and stamp.read_text() == what):
        shutil.rmtree(folder, ignore_errors=True)
        make()
        stamp.write_text(what)
    return folder


def repository(folder: Path) -> Path:
    """A git repository with one commit."""
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("first\n")
    identity = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t"}
    environ = {**os.environ, **identity, "GIT_COMMITTER_EMAIL": "t@t"}
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "The first commit"]):
        subprocess.run(["git", *words], cwd=folder, env=environ, check=True)
    return folder
