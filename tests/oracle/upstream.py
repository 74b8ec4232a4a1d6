"""Gets llama.cpp's own converter and quantizer: the copies inside of llama-cpp-python's source archive.

It goes into .oracle/ of the project, is never committed, and is fetched once.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

PACKAGE = "llama-cpp-python==0.3.36"
CACHE = Path(__file__).resolve().parents[2] / ".oracle"
_PARTS = (
    *("convert_hf_to_gguf.py", "conversion/", "gguf-py/", "convert_lora_to_gguf.py"),
    *("tools/quantize/", "common/", "include/", "ggml/include/", "src/", "vendor/"),
)

# All that llama-quantize is made of besides the libraries, which are those that llama-cpp-python has installed:
# so the tool is built in seconds, and both roads compute with the same code.
_QUANTIZE_SOURCES = (
    *("tools/quantize/main.cpp", "tools/quantize/quantize.cpp", "common/imatrix-loader.cpp"),
    *("common/common.cpp", "common/log.cpp", "common/json.cpp"),
)
_QUANTIZE_INCLUDES = ("include", "ggml/include", "common", "src", "tools/quantize", "vendor")

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


def llama_cpp_source() -> Path:
    """The folder of the vendored llama.cpp, fetched if need be; holds the converter and gguf-py."""
    root = CACHE / f"llama.cpp of {PACKAGE}"
    if not root.is_dir():
        download = CACHE / "download"
        # Only this package as source: `:all:` would build its build tools from source too.
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python"]
        subprocess.run([*pip, "--dest", str(download), PACKAGE], check=True)
        (archive,) = download.glob("llama_cpp_python-0.3.36*.tar.gz")
        _extract(archive, root)
    return root


def quantize_tool() -> Path:
    """llama.cpp's llama-quantize, built if need be."""
    tool = CACHE / "llama-quantize"
    found = importlib.util.find_spec("llama_cpp")
    assert found is not None and found.origin is not None
    libraries = Path(found.origin).parent / "lib"
    if tool.exists() and tool.stat().st_mtime > (libraries / "libllama.so").stat().st_mtime:
        return tool
    source = llama_cpp_source()
    template = (source / "common/build-info.cpp.in").read_text()
    (CACHE / "build-info.cpp").write_text(re.sub("@[A-Z_]+@", "0", template))
    # Sections that nothing uses are dropped with what they would need: common.cpp knows half of llama.cpp.
    command = [os.environ.get("CXX", "g++"), "-std=c++17", "-O2", "-ffunction-sections", "-fdata-sections"]
    command += [f"-I{source / folder}" for folder in _QUANTIZE_INCLUDES]
    command += [str(source / file) for file in _QUANTIZE_SOURCES]
    command += [str(CACHE / "build-info.cpp"), "-Wl,--gc-sections", f"-L{libraries}"]
    command += ["-lllama", "-lggml", "-lggml-base", f"-Wl,-rpath,{libraries}", "-lpthread"]
    subprocess.run([*command, "-o", str(tool)], check=True)
    return tool


def quantize_upstream(
    source: Path, output: Path, quantization: str, *options: str, folder: Path | None = None
) -> str:
    """Runs llama-quantize in `folder`; gives its last words if it refuses, else nothing."""
    command = [str(quantize_tool()), *options, str(source), str(output), quantization, "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return "" if done.returncode == 0 else (done.stderr + done.stdout)[-500:] or "it failed"


def dry_run_upstream(source: Path, quantization: str, *options: str) -> list[Planned]:
    """What llama-quantize would make of each tensor, in its order; reads no weights."""
    command = [str(quantize_tool()), "--dry-run", *options, str(source), quantization, "2"]
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


def _extract(archive: Path, root: Path) -> None:
    """Takes the converter out of the archive, 3 of its 300 MB; appears as a whole or not at all."""
    partial = root.with_name(root.name + ".partial")
    with tarfile.open(archive) as tar:
        for member in tar:
            _, _, inner = member.name.partition("/vendor/llama.cpp/")
            if member.isfile() and inner.startswith(_PARTS):
                target = partial / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None
                target.write_bytes(source.read())
    partial.rename(root)
