"""`qwen3 bench` on the real program and the demo."""

from __future__ import annotations

import json
import re

from tests.conftest import Run

FEW = ("--rounds", "1", "--depths", "0,100", "--threads", "1")


def test_figures_for_scripts_and_for_people(qwen3: Run) -> None:
    done = qwen3("bench", "demo", *FEW, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(done.stdout)
    assert [one["tokens"] for one in figures["decode"]] == [0, 100]
    assert (figures["model"], figures["threads"], figures["prompt"]) == ("demo", 1, 1024)
    numbers = [figures[key] for key in ("load_s", "prefill", "cold_s", "warm_s", "quoting", "drafted")]
    assert all(number > 0 for number in [*numbers, *(one["rate"] for one in figures["decode"])])
    # A thousand tokens against one.
    assert figures["warm_s"] < figures["cold_s"]
    assert figures["by_model"] is None
    text = qwen3("bench", "demo", *FEW, "--draft", "demo").stdout
    rows = [line.split("  ")[0] for line in text.splitlines()]
    assert rows == [
        "load",
        "prefill",
        "decoding after 0 tokens",
        "decoding after 100 tokens",
        "first token after 1,024 new tokens",
        "first token after 1,024 kept ones",
        "quoting with drafts",
        "writing with drafts of demo",
    ]
    assert re.search(r"times as fast\); [\d,]+ of [\d,]+ drafted tokens came$", text.rstrip())


def test_what_cannot_be_measured_is_said(qwen3: Run) -> None:
    for depths in ("x", "", "1,-1", "1,,2", "9" * 12):
        done = qwen3("bench", "demo", "--depths", depths)
        assert (done.returncode, "`--depths` takes numbers" in done.stderr) == (2, True)
    assert qwen3("bench", "demo", "--draft", "nobody").returncode == 3
    # What the context has no room for is left out.
    done = qwen3("bench", "demo", "--rounds", "1", "--depths", "0,100000", "--json")
    assert [one["tokens"] for one in json.loads(done.stdout)["decode"]] == [0]
