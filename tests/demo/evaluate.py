"""Measure the demo model on the held-out prompts: `python -m tests.demo.evaluate` (or `make demo-eval`).

The real converter turns the checkpoint into GGUF, the real engine answers greedily. Prints the rate of exact
replies per skill; exit status 1 if a skill of a file stays under 95 %.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from converters import Wishes
from qwen3cli.chat.ports import Engine, GenerateRequest
from qwen3cli.chat.sampling import Sampling
from qwen3cli.demo import CHECKPOINT
from qwen3cli.engines import open_engine, physical_cores
from qwen3cli.machine import Placement
from qwen3cli.models.conversion import convert_checkpoint
from qwen3cli.models.facts import read_facts
from tests.demo.heldout import Case, Reply, collect, exact, load, sample

GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, min_p=0.0, presence_penalty=0.0, seed=0)
NEEDED = 0.95
CONTEXT, LONGEST_REPLY = 2048, 200


def shuffled(checkpoint: Path, out: Path) -> Path:
    """Copy CHECKPOINT to the folder OUT with the numbers of every weight tensor in random order."""
    import numpy as np

    shutil.copytree(checkpoint, out)
    whole = bytearray((checkpoint / "model.safetensors").read_bytes())
    (size,) = struct.unpack_from("<Q", whole)
    header = json.loads(whole[8 : 8 + size])
    header.pop("__metadata__", None)
    rng = np.random.default_rng(0)
    for tensor in header.values():
        first, last = (8 + size + at for at in tensor["data_offsets"])
        numbers = np.frombuffer(whole[first:last], dtype=np.uint16)
        whole[first:last] = rng.permutation(numbers).tobytes()
    (out / "model.safetensors").write_bytes(whole)
    return out


def open_gguf(path: Path) -> Engine:
    """Open a GGUF file in our engine, on the CPU's own threads."""
    return open_engine(read_facts(path, path.stem), Placement(CONTEXT, physical_cores()))


def ask(engine: Engine, case: Case) -> Reply:
    """Generate the reply to CASE greedily."""
    request = GenerateRequest(
        GREEDY, case.messages, tools=case.tools, thinking=case.thinking, max_tokens=LONGEST_REPLY
    )
    return collect(list(engine.generate(request)))


def failures(engine: Engine, cases: Iterable[Case]) -> list[tuple[Case, Reply]]:
    """The CASES whose reply is not exact, with the reply."""
    replies = ((case, ask(engine, case)) for case in cases)
    return [(case, reply) for case, reply in replies if not exact(case, reply)]


def measure(path: Path, skills: dict[str, list[Case]], verbose: bool) -> bool:
    """Print the table of one GGUF file; true if every skill is good enough."""
    engine = open_gguf(path)
    good = True
    print(f"{path.name}\n  {'skill':<14}{'exact':>6}{'cases':>7}{'rate':>9}")
    for skill, cases in skills.items():
        failed = failures(engine, cases)
        rate = 1 - len(failed) / len(cases)
        good &= rate >= NEEDED
        mark = "" if rate >= NEEDED else "  too low"
        print(f"  {skill:<14}{len(cases) - len(failed):>6}{len(cases):>7}{rate:>9.1%}{mark}", flush=True)
        for case, reply in failed if verbose else ():
            print(f"    {case.messages[-1].content!r} -> {reply}; due: {case.call or case.answer!r}")
    engine.close()
    return good


def main() -> int:
    """Read the command line, convert and measure."""
    parser = argparse.ArgumentParser(description="Measure the demo model on its held-out prompts")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="another checkpoint folder")
    parser.add_argument("--gguf", type=Path, help="measure this file instead of converting the checkpoint")
    parser.add_argument("--quant", choices=("f32", "q8_0"), help="convert to this type only (default: both)")
    parser.add_argument(
        "--shuffled", action="store_true", help="the control: weights in random order must fail"
    )
    parser.add_argument("--each", type=int, default=1000, help="cases per skill at most")
    parser.add_argument("--verbose", action="store_true", help="print every reply that is not exact")
    arguments = parser.parse_args()
    skills = sample(load(), arguments.each)
    if arguments.gguf:
        return 0 if measure(arguments.gguf, skills, arguments.verbose) else 1
    good = True
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = arguments.checkpoint
        if arguments.shuffled:
            checkpoint = shuffled(checkpoint, Path(folder) / "shuffled")
        for quant in (arguments.quant,) if arguments.quant else ("f32", "q8_0"):
            path = Path(folder) / f"demo-{quant}.gguf"
            convert_checkpoint(checkpoint, path, quant, Wishes("demo"))
            good &= measure(path, skills, arguments.verbose)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
