"""Records what llama.cpp says that the family needs in memory: tests/models/memory_golden.json.

Files of true shape, whose weights are a hole and take no disk, loaded without allocation. Run by `make oracle`;
`git diff` must stay empty afterwards. Takes half a minute.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.checkpoints import sparse_checkpoint
from benchmarks.shapes import Shape
from converters import prepare
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.models.catalog import FAMILY, Member
from tests.converters.checkpoints import write_sparse
from tests.models.own_figures import own_figures
from tests.oracle.source import CACHE, PACKAGE

GOLDEN = Path(__file__).parents[1] / "models" / "memory_golden.json"
TYPES = ("Q4_K_M", "Q8_0")
SETTINGS = ((2048, "f16"), (8192, "f16"), (32768, "f16"), (262144, "f16"), (8192, "q8_0"), (32768, "q8_0"))


def main() -> None:
    """Loads every size of the family in two types and writes the golden file."""
    CACHE.mkdir(exist_ok=True)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        for member in FAMILY.values():
            if member.thinking is ThinkingMode.HYBRID:
                for quantization in TYPES:
                    path = _sparse_model(Path(work) / f"{member.name}-{quantization}", member, quantization)
                    figures[f"{member.name}:{quantization}"] = own_figures(path, SETTINGS)
                print(f"  {member.name}: {', '.join(TYPES)}", flush=True)
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(one)}" for name, one in figures.items())
    source = json.dumps(
        f"llama.cpp of {PACKAGE}, loaded without allocation; weights in bytes, all else in MiB"
    )
    GOLDEN.write_text(f'{{"source": {source}, "models": {{\n{rows}\n}}}}\n', encoding="utf-8")


def _sparse_model(folder: Path, member: Member, quantization: str) -> Path:
    experts = member.experts[0] if member.experts else 0
    sizes = (member.layers, member.hidden, member.feed_forward, member.heads, member.kv_heads)
    shape = Shape(f"Qwen3-{member.name}", *sizes, tied=member.tied, experts=experts)
    plan = prepare(sparse_checkpoint(folder / shape.name, shape), quantization)
    path = folder / "model.gguf"
    write_sparse(path, plan.header, plan.size)
    return path


if __name__ == "__main__":
    main()
