"""`qwen3 cache`, and what the real program keeps between two runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.cli import main
from tests.conftest import Run
from tests.terminal.fakes import Terminal, console

RULES = "Answer in one short line. " * 100


@pytest.fixture
def env(shared_home: Path, tmp_path: Path) -> dict[str, str]:
    """A home with the converted demo and nothing kept."""
    home = tmp_path / "home"
    shutil.copytree(shared_home / "cache", home / "cache", ignore=shutil.ignore_patterns("prefixes"))
    return {"QWEN3_HOME": str(home)}


def stats(qwen3: Run, env: dict[str, str], question: str) -> dict[str, Any]:
    options = ("--system", RULES, "--no-think", "--max-tokens", "5", "--json")
    done = qwen3("chat", "demo", question, *options, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["stats"]


def test_a_second_run_starts_where_the_first_one_was(qwen3: Run, env: dict[str, str]) -> None:
    first, second = (stats(qwen3, env, question) for question in ("What is 2 + 3?", "What is 4 + 5?"))
    assert (first["cached_tokens"], second["prompt_tokens"]) == (0, first["prompt_tokens"])
    assert second["evaluated_tokens"] < 30 < 400 < second["cached_tokens"]
    (one,) = json.loads(qwen3("cache", "list", "--json", env=env).stdout)
    assert one["tokens"] == second["cached_tokens"]
    assert Path(one["file"]).stat().st_mode & 0o777 == 0o600
    text = qwen3("cache", "list", env=env).stdout
    assert text.split()[:5] == ["TOKENS", "SIZE", "SAVES", "USED", "OF"]
    assert (one["session"], "system prompt" in text) == (None, True)
    assert f"{one['tokens']:,}" in text
    out = Terminal()
    assert main(["cache", "list"], console(out=out, environ={**env, "COLUMNS": "40"})) == 0
    assert out.getvalue().startswith(f"system prompt ({one['tokens']:,} tokens, ")
    assert "freed" in qwen3("cache", "clear", env=env).stderr
    assert json.loads(qwen3("cache", "list", "--json", env=env).stdout) == []
    assert json.loads(qwen3("cache", "clear", "--json", env=env).stdout) == {"freed_bytes": 0}
    assert stats(qwen3, env, "What is 2 + 3?")["cached_tokens"] == 0


def test_nothing_is_kept_if_nothing_may_be(qwen3: Run, env: dict[str, str]) -> None:
    config = Path(env["QWEN3_HOME"]) / "config.toml"
    config.write_text("[cache]\nlimit_gb = 0\n", encoding="utf-8")
    assert [stats(qwen3, env, "What is 2 + 3?")["cached_tokens"] for _ in range(2)] == [0, 0]
    config.write_text("[cache]\nlimit_gb = -1\n", encoding="utf-8")
    done = qwen3("chat", "demo", "Hello!", env=env)
    assert done.returncode == 4
    assert "`cache.limit_gb` in" in done.stderr and "must be a number from 0 on" in done.stderr
