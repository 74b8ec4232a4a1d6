"""`qwen3 plan` on the real program, and what it says on a narrow terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.cli.planned import Planned, Subject
from qwen3cli.models.catalog import FAMILY
from qwen3cli.models.machines import described
from qwen3cli.models.plan import QUALITY, needs_of_family
from qwen3cli.terminal.console import Console
from qwen3cli.terminal.wrap import display_width
from tests.conftest import Run
from tests.terminal.fakes import Terminal

LAPTOP = """\
Qwen3-8B on a machine with 8.0 GB of memory, 6.0 GB of it for a model; no GPU

Best that fits: IQ4_XS, 5.9 GB with 8,192 tokens of context, about 1.9x as fast as Q8_0.
With `--kv-type q8_0` Q4_K_M fits, too: 5.8 GB.
`qwen3 pull 8b -q iq4_xs` makes it from the checkpoint.

TYPE        FILE    MEMORY    SPEED      CONTEXT
Q8_0      8.7 GB     10 GB     1.0x    too large
Q6_K      6.7 GB    8.1 GB     1.3x    too large
Q5_K_M    5.9 GB    7.2 GB     1.5x    too large
Q4_K_M    5.0 GB    6.4 GB     1.7x        4,096
IQ4_XS    4.6 GB    5.9 GB     1.9x        8,192
Q3_K_M    4.1 GB    5.5 GB     2.1x        8,192
Q2_K      3.3 GB    4.6 GB     2.6x       16,384

MEMORY: weights, KV cache and buffers with 8,192 tokens of context. CONTEXT: the longest usual one that fits.
SPEED: about, against Q8_0; reckoned from what each token reads of the weights.
"""


def test_somebody_with_a_laptop_of_8_gb(qwen3: Run) -> None:
    done = qwen3("plan", "8b", "--ram", "8G")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == LAPTOP


def as_json(qwen3: Run, *arguments: str) -> dict[str, Any]:
    done = qwen3("plan", *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_scripts_get_bytes(qwen3: Run) -> None:
    plan = as_json(qwen3, "Qwen/Qwen3-30B-A3B:q4_k_m", "--ram", "32G", "--vram", "12G", "--ctx", "16384")
    assert plan["machine"] == {
        "memory_bytes": 32 * 10**9,
        "usable_bytes": 32 * 10**9 - (4 << 30),
        "free_bytes": None,
        "gpu_bytes": [12 * 10**9],
        "gpu_shares_memory": False,
    }
    assert (plan["model"], plan["context"], plan["best"]) == ("30b-a3b", 16_384, "Q4_K_M")
    (choice,) = plan["choices"]
    assert choice["weights_bytes"] + choice["kv_bytes"] + choice["compute_bytes"] == choice["total_bytes"]
    assert (choice["weights_bytes"], choice["kv_bytes"]) == (18_550_716_416, 1536 << 20)
    whole, apart = choice["gpu"], choice["gpu_experts_apart"]
    assert 0 < whole["layers"] < whole["of"] == apart["layers"] == 49
    assert (whole["experts_left"], whole["speed"]) == (0, choice["speed"])
    assert 0 < apart["experts_left"] < 48
    assert max(whole["gpu_bytes"], apart["gpu_bytes"]) <= 12 * 10**9 - (1 << 30)
    assert apart["speed"] > whole["speed"] > 1


def test_more_context_than_a_model_was_trained_for_is_said(qwen3: Run) -> None:
    done = qwen3("plan", "8b", "--ram", "64G", "--ctx", "131072")
    assert "Qwen3-8B was trained for 32,768 tokens of context, not 131,072" in done.stderr
    assert qwen3("plan", "8b", "--ram", "64G", "--ctx", "32768").stderr == ""


def test_both_ways_of_placing_a_mixture_are_said(qwen3: Run) -> None:
    text = qwen3("plan", "30b-a3b:q4_k_m", "--ram", "32G", "--vram", "12G").stdout
    assert "On the GPU: 27 of 49 layers, `--gpu-layers 27`; 11 GB there, 8.9 GB in main memory." in text
    assert "`--n-cpu-moe 23`" in text
    assert "27 of 49     3.6x" in text
    assert "n-cpu-moe" not in qwen3("plan", "30b-a3b:q4_k_m", "--ram", "32G", "--vram", "80G").stdout


def test_what_is_too_large_names_something_smaller(qwen3: Run) -> None:
    text = qwen3("plan", "235b-a22b", "--ram", "16", "--vram", "0").stdout
    assert "Nothing fits: Q2_K needs 87 GB.\nQwen3-14B fits in Q4_K_M: `qwen3 plan 14b`." in text
    assert "pull" not in text
    text = qwen3("plan", "8b:q6_k", "--ram", "8G", "--ctx", "4096").stdout
    assert "It does not fit: Q6_K needs 7.4 GB." in text


@pytest.mark.parametrize(
    ("reference", "name", "types"),
    [
        ("ms://Qwen/Qwen3-8B-GGUF", "8b", QUALITY),
        ("hf.co/Qwen/Qwen3-8B", "8b", QUALITY),
        ("https://huggingface.co/unsloth/Qwen3-4B-Thinking-2507-GGUF", "4b-thinking-2507", QUALITY),
        ("https://modelscope.cn/models/Qwen/Qwen3-0.6B/summary", "0.6b", QUALITY),
        ("unsloth/Qwen3-8B-GGUF:q4_k_m", "8b", ("Q4_K_M",)),
        ("bartowski/Qwen_Qwen3-8B-GGUF:Qwen_Qwen3-8B-Q6_K.gguf", "8b", ("Q6_K",)),
    ],
)
def test_repositories_lead_to_members(qwen3: Run, reference: str, name: str, types: tuple[str, ...]) -> None:
    plan = as_json(qwen3, reference, "--ram", "64G")
    assert plan["model"] == name
    assert tuple(choice["quantization"] for choice in plan["choices"]) == types


@pytest.mark.parametrize(
    ("reference", "command"),
    [
        ("0.6b:q4_k_m", "qwen3 pull 0.6b -q q4_k_m"),
        ("ms://Qwen/Qwen3-1.7B-GGUF:Q6_K", "qwen3 pull 1.7b -q q6_k"),
        ("0.6b:q8_0", "qwen3 pull 0.6b:q8_0"),
        ("8b:q4_k_m", "qwen3 pull 8b:q4_k_m"),
        ("8b-base:q8_0", "qwen3 pull 8b-base -q q8_0"),
        ("8b:iq2_xxs", "qwen3 convert Qwen/Qwen3-8B -q iq2_xxs --imatrix FILE --as NAME"),
    ],
)
def test_what_nobody_offers_is_made(qwen3: Run, reference: str, command: str) -> None:
    assert f"`{command}`" in qwen3("plan", reference, "--ram", "64G").stdout


def test_this_machine_is_the_default(qwen3: Run) -> None:
    plan = as_json(qwen3, "0.6b")
    assert 0 < plan["machine"]["free_bytes"] <= plan["machine"]["memory_bytes"]
    assert len(plan["choices"]) == 7
    assert as_json(qwen3, "0.6b", "--vram", "24GiB")["machine"]["gpu_bytes"] == [24 << 30]


def test_a_model_that_is_here_is_planned_by_its_own_figures(qwen3: Run, demo_gguf: Path) -> None:
    for reference in ("demo", str(demo_gguf)):
        plan = as_json(qwen3, reference, "--ram", "8G")
        (choice,) = plan["choices"]
        assert choice["file_bytes"] == demo_gguf.stat().st_size
        assert (plan["best"], choice["quantization"], plan["context"]) == ("BF16", "BF16", 4_096)
    assert "It fits: BF16, " in qwen3("plan", "demo").stdout


def test_a_name_in_the_store_wins_and_the_family_is_pointed_to(
    qwen3: Run, tmp_path: Path, demo_gguf: Path
) -> None:
    from qwen3cli.demo import CHECKPOINT

    home = {"QWEN3_HOME": str(tmp_path)}
    assert qwen3("convert", str(CHECKPOINT), "--as", "8b", "-q", "q8_0", env=home).returncode == 0
    text = qwen3("plan", "8B", "--ram", "8G", env=home).stdout
    assert text.startswith("`8b` on a machine")
    assert "`qwen3 plan Qwen/Qwen3-8B` compares its quantizations." in text
    assert "Q6_K" in qwen3("plan", "Qwen/Qwen3-8B", env=home).stdout
    assert "Qwen3-8B on" in qwen3("plan", "8b:q6_k", env=home).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["8b", "--ram", "much"], 2, "`--ram` takes a size, not `much`"),
        (["8b", "--ram", "1k"], 2, "too little"),
        (["8b", "--vram", "2000T"], 2, "more than any machine has"),
        (["8b", "--ctx", "1"], 2, "64"),
        (["8b:q9"], 2, "there is no quantization `q9`"),
        (["nosuch"], 3, "`nosuch` is no member of it"),
        (["owner/repo"], 3, "`owner/repo` is no member of it"),
        (["./nosuch.gguf"], 3, "no file"),
    ],
)
def test_nonsense_gets_a_sentence(qwen3: Run, arguments: list[str], code: int, words: str) -> None:
    done = qwen3("plan", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_described_machine_loads_no_engine(environ: dict[str, str]) -> None:
    code = (
        "import sys\nfrom qwen3cli.cli import main\n"
        "main(['plan', '235b-a22b', '--ram', '64G', '--vram', '24G'])\n"
        "print(sorted({'llama_cpp', 'numpy', 'gguf', 'jinja2', 'httpx2'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    ("columns", "gpu", "header"),
    [
        (60, 12, "TYPE FILE MEMORY GPU LAYERS SPEED CONTEXT"),
        (40, 12, "TYPE MEMORY GPU SPEED CONTEXT"),
        (40, 0, "TYPE MEMORY SPEED CONTEXT"),
        (41, 0, "TYPE FILE MEMORY SPEED CONTEXT"),
    ],
)
def test_a_narrow_terminal_wraps_sentences_and_keeps_the_table(columns: int, gpu: int, header: str) -> None:
    screen = Terminal()
    console = Console(stdout=screen, environ={"COLUMNS": str(columns), "LANG": "C.UTF-8"})
    subject = Subject("235b-a22b", tuple(needs_of_family(FAMILY["235b-a22b"])), FAMILY["235b-a22b"])
    Planned.of(subject, described(96 * 10**9, gpu * 10**9), 8_192).show(console)
    lines = screen.getvalue().splitlines()
    assert max(map(display_width, lines)) <= columns
    assert " ".join(next(line for line in lines if line.startswith("TYPE")).split()) == header
    rows = [line for line in lines if line.split()[:1] and line.split()[0] in QUALITY]
    assert len(rows) == len(QUALITY)
    assert all(row.endswith(("too large", ",096", ",192", ",384", ",768", ",536")) for row in rows)
