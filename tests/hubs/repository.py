"""One way to describe a repository for every hub of the tests, with the ids and hashes that hubs give.

Knows git's objects (blobs, trees, one commit), so that commits and blob ids are true ones and the same in each
hub; no `git` is run. Does not know any hub.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

# What the `.gitattributes` of a hub's repository keeps out of git.
LFS_SUFFIXES = (".gguf", ".safetensors", ".bin")


@dataclass(frozen=True)
class Repository:
    """A model's files, as they stand at one commit."""

    id: str  # "Qwen/Tiny-GGUF"; for Kaggle "owner/model/framework/variation"
    files: Mapping[str, bytes]
    license: str = "apache-2.0"
    gated: bool = False
    private: bool = False

    @property
    def owner(self) -> str:
        """The user or organisation."""
        return self.id.split("/")[0]

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.id.split("/")[-1]

    def sha256(self, path: str) -> str:
        """SHA-256 of a file."""
        return self._digests[path][0]

    def md5(self, path: str) -> bytes:
        """MD5 of a file, as Google's storage counts it."""
        return self._digests[path][1]

    def is_lfs(self, path: str) -> bool:
        """Whether git holds only a pointer to the file."""
        return path.endswith(LFS_SUFFIXES)

    def blob(self, path: str) -> bytes:
        """What git holds for a file: itself or its pointer."""
        if not self.is_lfs(path):
            return self.files[path]
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"
        return pointer.format(self.sha256(path), len(self.files[path])).encode()

    def oid(self, path: str) -> str:
        """Git's id of what it holds for a file."""
        return _oid("blob", self.blob(path))

    @property
    def commit(self) -> str:
        """Git's id of the commit; other files make another one."""
        return self._git.commit

    @property
    def folders(self) -> Mapping[str, str]:
        """Path of each folder to git's id of its tree."""
        return {path: oid for path, oid in self._git.trees.items() if path}

    def write(self, folder: Path) -> None:
        """Writes the repository as git and git-lfs keep it, with a branch `main`."""
        git = folder / ".git"
        for oid, raw in self._git.objects.items():
            _write(git / "objects" / oid[:2] / oid[2:], zlib.compress(raw, 1))
        for path in filter(self.is_lfs, self.files):
            sha = self.sha256(path)
            _write(git / "lfs" / "objects" / sha[:2] / sha[2:4] / sha, self.files[path])
        _write(git / "HEAD", b"ref: refs/heads/main\n")
        _write(git / "config", b"[core]\n\trepositoryformatversion = 0\n\tbare = false\n")
        _write(git / "refs" / "heads" / "main", f"{self.commit}\n".encode())

    @cached_property
    def _digests(self) -> dict[str, tuple[str, bytes]]:
        return {p: (hashlib.sha256(b).hexdigest(), hashlib.md5(b).digest()) for p, b in self.files.items()}

    @cached_property
    def _git(self) -> _Git:
        git = _Git()
        git.add_tree("", {path: self.blob(path) for path in self.files})
        who = "Test <test@example.com> 1700000000 +0000"
        text = f"tree {git.trees['']}\nauthor {who}\ncommitter {who}\n\n{self.id}\n"
        git.commit = git.add("commit", text.encode())
        return git


@dataclass
class _Git:
    """Loose objects by their ids."""

    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    trees: dict[str, str] = field(default_factory=dict[str, str])
    commit: str = ""

    def add(self, kind: str, content: bytes) -> str:
        oid = _oid(kind, content)
        self.objects[oid] = _raw(kind, content)
        return oid

    def add_tree(self, folder: str, blobs: Mapping[str, bytes]) -> str:
        """Adds the tree of `folder`; `blobs` has the paths within it."""
        entries: dict[str, tuple[str, str]] = {}
        for path, blob in blobs.items():
            first, slash, _ = path.partition("/")
            if not slash:
                entries[path] = ("100644", self.add("blob", blob))
            elif first not in entries:
                inner = {p[len(first) + 1 :]: b for p, b in blobs.items() if p.startswith(f"{first}/")}
                entries[first] = ("40000", self.add_tree(f"{folder}/{first}".strip("/"), inner))
        # Git sorts a folder as if its name ended with a slash.
        ordered = sorted(entries.items(), key=lambda e: e[0] + "/" * (e[1][0] == "40000"))
        raw = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(o) for name, (mode, o) in ordered)
        self.trees[folder] = self.add("tree", raw)
        return self.trees[folder]


def _raw(kind: str, content: bytes) -> bytes:
    return f"{kind} {len(content)}".encode() + b"\0" + content


def _oid(kind: str, content: bytes) -> str:
    return hashlib.sha1(_raw(kind, content)).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
