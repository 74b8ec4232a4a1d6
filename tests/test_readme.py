"""The two READMEs say the same: every command, path and switch of one stands in the other."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from qwen3cli.errors import ExitCode

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh.md"))


def spans(path: Path) -> Counter[str]:
    text = path.read_text(encoding="utf-8")
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return Counter(re.findall(r"`([^`]+)`", outside))


def commands(path: Path) -> list[str]:
    """The first words of each line of the code blocks, without what a person would type in words."""
    blocks = re.findall(r"^```\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [re.split(r'\s{2,}|"', line.strip())[0] for block in blocks for line in block.splitlines()]


def test_both_name_the_same_things() -> None:
    assert set(spans(ENGLISH)) == set(spans(CHINESE))


def test_both_show_the_same_commands() -> None:
    assert commands(ENGLISH) == commands(CHINESE)
    assert len(commands(ENGLISH)) > 15


def test_both_have_the_same_sections_and_all_exit_codes() -> None:
    for path in (ENGLISH, CHINESE):
        text = path.read_text(encoding="utf-8")
        assert len(re.findall(r"^## ", text, re.MULTILINE)) == 10
        assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == list(ExitCode)
