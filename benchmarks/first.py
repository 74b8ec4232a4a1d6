"""One process that asks a model with tools one question: `python -m benchmarks.first MODEL FOLDER THREADS TOKENS`.

Tells as JSON how long its first token took, in FOLDER is what processes before it have read.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.dialogue import Dialogue
from qwen3cli.chat.events import TurnEnded
from qwen3cli.chat.messages import Message, ToolSpec
from qwen3cli.chat.ports import Engine, GenerateRequest
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.engines import open_engine
from qwen3cli.engines.prefixes import Keeping
from qwen3cli.machine import Placement
from qwen3cli.models.facts import read_facts

_LIMIT: Final = 4_000_000_000
_SPARE: Final = 1024


def main() -> None:
    """Loads, asks, tells."""
    started = time.monotonic()
    model, folder, threads, wanted = sys.argv[1:]
    facts = read_facts(Path(model))
    placement = Placement(2 * int(wanted) + _SPARE, int(threads))
    engine = open_engine(facts, placement, keeping=Keeping(Path(folder), _LIMIT))
    request = _request(engine, int(wanted), quantized=facts.quantized)
    *_, ended = engine.generate(request)
    assert isinstance(ended, TurnEnded)
    engine.close()
    stats = ended.stats
    told = {"seconds": stats.ttft_s, "process": time.monotonic() - started}
    print(json.dumps({**told, "prompt": stats.prompt_tokens, "evaluated": stats.evaluated_tokens}))


def _request(engine: Engine, wanted: int, *, quantized: bool) -> GenerateRequest:
    """A question with a section of about so many tokens before it: tools, or a system prompt where there are none."""
    thinking = engine.thinking_mode is not ThinkingMode.NEVER
    sampling = SamplingChoice(seed=1).resolve(thinking=thinking, quantized=quantized)
    question, offered = Message("user", "What can you do?"), Dialogue().tools
    described = [json.dumps(dict(one.parameters)) + one.description for one in offered]
    if engine.takes_tools:
        tools: list[ToolSpec] = []
        taken = 0
        while taken < wanted:
            one, text = offered[len(tools) % len(offered)], described[len(tools) % len(offered)]
            tools.append(ToolSpec(f"{one.name}_{len(tools)}", one.description, one.parameters))
            taken += engine.count_tokens(text)
        return GenerateRequest(sampling, (question,), tools=tuple(tools), thinking=thinking, max_tokens=1)
    words = " ".join(described)
    text = words * (wanted // engine.count_tokens(words) + 1)
    system = Message("system", text[: len(text) * wanted // engine.count_tokens(text)])
    return GenerateRequest(sampling, (system, question), thinking=thinking, max_tokens=1)


if __name__ == "__main__":
    main()
