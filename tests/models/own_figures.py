"""What llama.cpp says that a model needs, from a load without allocation, with the engine's own parameters.

A process of its own, since the log is taken over and a default changed: `own_figures` starts it and reads its JSON.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwen3cli.machine import Placement

ROOT = Path(__file__).parents[2]
_MEBIBYTES = {
    "kv": re.compile(r"llama_kv_cache: size = +([\d.]+) MiB"),
    "compute": re.compile(r"compute buffer size = +([\d.]+) MiB"),
    "output": re.compile(r"output buffer size = +([\d.]+) MiB"),
}


def own_figures(path: Path, settings: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Bytes of the weights, and for each context and KV type MiB of the cache and of the buffers."""
    words = [f"{context} {kv_type}" for context, kv_type in settings]
    command = [sys.executable, "-m", "tests.models.own_figures", str(path), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def main() -> None:
    import llama_cpp.llama_cpp as C

    lines: list[str] = []
    allocating = C.llama_model_default_params

    def without_allocation() -> C.llama_model_params:
        params = allocating()
        params.no_alloc = True
        return params

    @C.llama_log_callback
    def receive(level: int, text: bytes, data: Any) -> None:
        lines.append(text.decode("utf-8", "replace"))

    C.llama_model_default_params = without_allocation
    from qwen3cli.engines.llama.context import Context
    from qwen3cli.engines.llama.weights import Weights

    C.llama_log_set(receive, ctypes.c_void_p(0))  # After the engine has set its own.
    path, *settings = sys.argv[1:]
    placements = [_placement(words) for words in settings]
    weights = Weights(Path(path), placements[0], lambda fraction: None, threading.Event())
    assert weights.pointer is not None
    figures: dict[str, Any] = {"weights": C.llama_model_size(weights.pointer)}
    for words, placement in zip(settings, placements, strict=True):
        lines.clear()
        Context(weights, placement).free()
        figures[words] = {name: _sum(pattern, lines) for name, pattern in _MEBIBYTES.items()}
    sys.stdout.write(json.dumps(figures))


def _placement(words: str) -> Placement:
    context, kv_type = words.split()
    # Mapping the file would allocate.
    return Placement(int(context), 1, gpu_layers=0, kv_type=kv_type, use_mmap=False)


def _sum(pattern: re.Pattern[str], lines: list[str]) -> float:
    found = [float(number) for line in lines for number in pattern.findall(line)]
    assert found, pattern.pattern
    return round(sum(found), 2)


if __name__ == "__main__":
    main()
