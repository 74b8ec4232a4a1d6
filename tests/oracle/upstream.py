"""Gets llama.cpp's own converter: the copy inside of llama-cpp-python's source archive.

It goes into .oracle/ of the project, is never committed, and is fetched once.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGE = "llama-cpp-python==0.3.36"
CACHE = Path(__file__).resolve().parents[2] / ".oracle"
_PARTS = ("convert_hf_to_gguf.py", "conversion/", "gguf-py/", "convert_lora_to_gguf.py")

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


def llama_cpp_source() -> Path:
    """The folder of the vendored llama.cpp, fetched if need be; holds the converter and gguf-py."""
    root = CACHE / PACKAGE
    if not root.is_dir():
        download = CACHE / "download"
        # Only this package as source: `:all:` would build its build tools from source too.
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python"]
        subprocess.run([*pip, "--dest", str(download), PACKAGE], check=True)
        (archive,) = download.glob("llama_cpp_python-0.3.36*.tar.gz")
        _extract(archive, root)
    return root


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
