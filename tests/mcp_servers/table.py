"""Which servers are tried, and what is expected of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwen3cli.tools.kinds import ServerConfig
from tests.mcp_servers.installing import node_environment, python_environment, repository


@dataclass(frozen=True)
class Use:
    """One call and what its result must hold."""

    tool: str
    arguments: Mapping[str, Any]
    holds: str
    is_error: bool = False


@dataclass(frozen=True)
class Case:
    """One server: its protocol, how many tools it has at least, and calls; or why it must fail."""

    config: ServerConfig
    protocol: str = ""
    tools: int = 0
    uses: tuple[Use, ...] = ()
    fails: str = ""
    prompts: bool = field(default=False)


NEW, OLD = "2026-07-28", "2025-11-25"


def python_cases(folder: Path) -> list[Case]:
    """The servers from PyPI."""
    official = python_environment("official", "mcp-server-time", "mcp-server-git", "mcp-server-fetch")
    pinned = python_environment("sqlite", "mcp-server-sqlite", "mcp<2")
    unpinned = python_environment("sqlite-unpinned", "mcp-server-sqlite", "mcp>=2.3")
    git = str(repository(folder / "repository"))
    oslo = {"source_timezone": "Europe/Oslo", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    return [
        Case(
            stdio("time", official / "mcp-server-time"), NEW, 2,
            (
                Use("get_current_time", {"timezone": "Europe/Oslo"}, "Europe/Oslo"),
                Use("convert_time", oslo, "Asia/Tokyo"),
                Use("get_current_time", {"timezone": "Nowhere"}, "", is_error=True),
            ),
        ),
        Case(
            stdio("git", official / "mcp-server-git", "--repository", git), NEW, 12,
            (
                Use("git_status", {"repo_path": git}, "clean"),
                Use("git_log", {"repo_path": git}, "The first commit"),
            ),
        ),
        Case(
            stdio("fetch", official / "mcp-server-fetch"), NEW, 1,
            (
                Use("fetch", {"url": "http://127.0.0.1:9/"}, "", is_error=True),
                Use("fetch", {"url": "nonsense"}, "", is_error=True),
            ),
        ),
        Case(
            stdio("sqlite", pinned / "mcp-server-sqlite", "--db-path", str(folder / "t.db")), OLD, 6,
            (
                Use("create_table", {"query": "CREATE TABLE t (name TEXT)"}, "success"),
                Use("write_query", {"query": "INSERT INTO t VALUES ('Ada')"}, "1"),
                Use("read_query", {"query": "SELECT * FROM t"}, "Ada"),
            ),
        ),
        Case(
            stdio("sqlite-unpinned", unpinned / "mcp-server-sqlite", "--db-path", str(folder / "u.db")),
            fails="AttributeError",
        ),
    ]  # fmt: skip


def node_cases(folder: Path) -> list[Case]:
    """The servers from npm."""
    names = ("filesystem", "memory", "everything", "sequential-thinking")
    programs = node_environment("node", *(f"@modelcontextprotocol/server-{name}" for name in names)) / ".bin"
    files = folder / "files"
    files.mkdir()
    (files / "a.txt").write_text("the text of a file")
    thought = {"thought": "One.", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1}
    entity = {"name": "Ada", "entityType": "person", "observations": ["wrote programs"]}
    memory = {"MEMORY_FILE_PATH": str(folder / "memory.jsonl")}
    return [
        Case(
            stdio("filesystem", programs / "mcp-server-filesystem", str(files)), OLD, 14,
            (
                Use("read_text_file", {"path": str(files / "a.txt")}, "the text of a file"),
                Use("list_directory", {"path": str(files)}, "a.txt"),
                Use("read_text_file", {"path": "/etc/passwd"}, "denied", is_error=True),
            ),
        ),
        Case(
            stdio("memory", programs / "mcp-server-memory", env=memory), OLD, 9,
            (
                Use("create_entities", {"entities": [entity]}, "Ada"),
                Use("search_nodes", {"query": "programs"}, "Ada"),
            ),
        ),
        Case(
            stdio("everything", programs / "mcp-server-everything"), OLD, 13,
            (
                Use("echo", {"message": "hello"}, "hello"),
                Use("get-sum", {"a": 2, "b": 3}, "5"),
                Use("get-tiny-image", {}, "image/png"),
                Use("trigger-long-running-operation", {"duration": 1, "steps": 4}, "completed"),
            ),
            prompts=True,
        ),
        Case(
            stdio("thinking", programs / "mcp-server-sequential-thinking"), OLD, 1,
            (
                Use("sequentialthinking", thought, "thoughtNumber"),
                Use("sequentialthinking", {**thought, "thoughtNumber": 2}, "2"),
            ),
        ),
    ]  # fmt: skip


def stdio(name: str, program: Path, *arguments: str, env: Mapping[str, str] | None = None) -> ServerConfig:
    """A server as a process."""
    return ServerConfig(name, "stdio", str(program), arguments, env=env or {})
