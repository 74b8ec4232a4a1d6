"""Runs llama.cpp's own converter and quantizer: the copies inside of llama-cpp-python's source archive."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.oracle.build import tool
from tests.oracle.source import llama_cpp_source

_PLANNED = re.compile(
    r"^\[ *\d+/ *\d+\] (?P<name>\S+) +- \[(?P<shape>[\d, ]+)\], type = +(?P<type>\w+), "
    r"size = +[\d.]+ MiB(?: -> +[\d.]+ MiB \((?P<becomes>\w+)\))?$",
    re.MULTILINE,
)

# Runs upstream's script with one check patched: the pre-tokenizer is normally known by a hash of what it does
# to a sample text, and a vocabulary that upstream has never seen has no such hash. The answer stays theirs.
_RUNNER = """
import sys
sys.path.insert(0, {folder!r})
import conversion.base as base
known = base.TextModel.get_vocab_base_pre
def get_vocab_base_pre(self, tokenizer):
    try:
        return known(self, tokenizer)
    except NotImplementedError:
        return "qwen2"
base.TextModel.get_vocab_base_pre = get_vocab_base_pre
import convert_hf_to_gguf
sys.argv = ["convert_hf_to_gguf.py", *sys.argv[1:]]
convert_hf_to_gguf.main()
"""


class Planned(NamedTuple):
    """What becomes of a tensor; its shape as torch counts."""

    name: str
    shape: tuple[int, ...]
    kind: str


def quantize_upstream(
    source: Path, output: Path, quantization: str, *options: str, folder: Path | None = None
) -> str:
    """Runs llama-quantize in `folder`; gives its last words if it refuses, else nothing."""
    command = [str(tool("llama-quantize")), *options, str(source), str(output), quantization, "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return "" if done.returncode == 0 else (done.stderr + done.stdout)[-500:] or "it failed"


def dry_run_upstream(source: Path, quantization: str, *options: str) -> list[Planned]:
    """What llama-quantize would make of each tensor, in its order; reads no weights."""
    command = [str(tool("llama-quantize")), "--dry-run", *options, str(source), quantization, "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    planned: list[Planned] = []
    for found in _PLANNED.finditer(done.stderr + done.stdout):
        numbers = [int(number) for number in found["shape"].split(",")]
        while len(numbers) > 1 and numbers[-1] == 1:
            numbers.pop()
        kind = found["becomes"] or found["type"]
        planned.append(Planned(found["name"], tuple(reversed(numbers)), kind.upper()))
    return planned


def intermediate(dtype: str) -> str:
    """What a checkpoint of that type is first converted to: no number is rounded that the result still shows."""
    return "f32" if dtype in ("F32", "F16") else "bf16"


def convert_upstream(checkpoint: Path, output: Path, quantization: str, name: str | None) -> None:
    """Runs llama.cpp's converter on a checkpoint folder."""
    runner = _RUNNER.format(folder=str(llama_cpp_source()))
    arguments = [str(checkpoint), "--outfile", str(output), "--outtype", quantization.lower()]
    if name is not None:
        arguments += ["--model-name", name]
    done = subprocess.run(
        [sys.executable, "-c", runner, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"upstream's converter failed on {checkpoint}:\n{done.stderr}")
