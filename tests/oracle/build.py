"""Builds llama.cpp's own tools from its source archive, against the very libraries that llama-cpp-python installed.

So both sides of a comparison compute with the same code, and only the tools themselves are compiled. Objects are
kept in .oracle/: a second build only links. Knows nothing of what the tools are used for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.oracle.source import CACHE, PACKAGE, llama_cpp_source

_COMMON: Final = (
    "common/*.cpp",
    "common/jinja/*.cpp",
    "common/parsers/*.cpp",
    "vendor/cpp-httplib/httplib.cpp",
)
_SERVER: Final = ("tools/server/server*.cpp",)
_SOURCES: Final = {
    # Few files, for it is built by those who only convert.
    "llama-quantize": (
        "tools/quantize/*.cpp",
        *("common/imatrix-loader.cpp", "common/common.cpp", "common/log.cpp", "common/json.cpp"),
    ),
    "llama-bench": ("tools/llama-bench/*.cpp", *_COMMON),
    "llama-cli": ("tools/cli/*.cpp", *_SERVER, *_COMMON),
    "llama-server": ("tools/server/main.cpp", *_SERVER, *_COMMON),
}
_LIBRARIES: Final = {
    "llama-quantize": ("llama", "ggml", "ggml-base"),
    "llama-bench": ("llama", "ggml", "ggml-base"),
    "llama-cli": ("mtmd", "llama", "ggml", "ggml-base"),
    "llama-server": ("mtmd", "llama", "ggml", "ggml-base"),
}
_INCLUDES: Final = (
    *("include", "ggml/include", "common", "src", "vendor"),
    *("tools/quantize", "tools/server", "tools/mtmd"),
)
# Sections that nothing uses are dropped with what they would need: common.cpp knows half of llama.cpp.
# The definitions are those of cpp-httplib's CMakeLists.txt; without the last one, llama-cli waits for its own server.
_FLAGS: Final = (
    *("-std=c++17", "-O2", "-DNDEBUG", "-w", "-ffunction-sections", "-fdata-sections"),
    "-DCPPHTTPLIB_FORM_URL_ENCODED_PAYLOAD_MAX_LENGTH=1048576",
    "-DCPPHTTPLIB_LISTEN_BACKLOG=512",
    "-DCPPHTTPLIB_REQUEST_URI_MAX_LENGTH=32768",
    "-DCPPHTTPLIB_TCP_NODELAY=1",
)
_TEMPLATES: Final = ("common/build-info.cpp.in", "tools/ui/ui.h.in", "tools/ui/ui.cpp.in")
_BLANKS: Final = {"ASSET_ARRAYS": "", "ASSET_TABLE": "", "USE_GZIP": "false"}
"""What stands for the web page that the server is built without; all other blanks are 0."""


class _Source(NamedTuple):
    """A file to compile, and what it becomes."""

    path: Path
    object: Path


def tool(name: str) -> Path:
    """One of llama.cpp's tools, built if need be: minutes for the first of the large ones."""
    folder = CACHE / f"tools {_digest()}"
    program = folder / name
    libraries = _installed_libraries()
    if program.exists() and program.stat().st_mtime > (libraries / "libllama.so").stat().st_mtime:
        return program
    root = llama_cpp_source()
    _write_generated(root, folder / "generated")
    sources = list(_sources(name, root, folder))
    _compile([one for one in sources if not one.object.exists()], root, folder)
    command = [_compiler(), *(str(one.object) for one in sources), "-Wl,--gc-sections", f"-L{libraries}"]
    command += [*(f"-l{one}" for one in _LIBRARIES[name]), f"-Wl,-rpath,{libraries}", "-lpthread"]
    partial = folder / f"{name}.partial"
    subprocess.run([*command, "-o", str(partial)], check=True)
    partial.rename(program)
    return program


def _compiler() -> str:
    return os.environ.get("CXX", "g++")


def _digest() -> str:
    """Names what objects depend on, so that none is used that was made of something else."""
    return hashlib.sha256(repr((PACKAGE, _compiler(), _FLAGS)).encode()).hexdigest()[:8]


def _installed_libraries() -> Path:
    found = importlib.util.find_spec("llama_cpp")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "lib"


def _sources(name: str, root: Path, folder: Path) -> Iterator[_Source]:
    generated = folder / "generated"
    for base, patterns in ((root, _SOURCES[name]), (generated, ("*.cpp",))):
        for pattern in patterns:
            for path in sorted(base.glob(pattern)):
                yield _Source(path, folder / "objects" / path.relative_to(base).with_suffix(".o"))


def _write_generated(root: Path, folder: Path) -> None:
    """The sources that CMake would write: who built it, and the web page, which is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _TEMPLATES:
        text = re.sub(
            r"^#cmakedefine (\w+).*$", r"/* no \1 */", (root / name).read_text(), flags=re.MULTILINE
        )
        text = re.sub("@([A-Z_]+)@", lambda blank: _BLANKS.get(blank[1], "0"), text)
        (folder / Path(name).stem).write_text(text)


def _compile(sources: list[_Source], root: Path, folder: Path) -> None:
    """Compiles files side by side, where nothing else needs the processors."""
    includes = [f"-I{folder / 'generated'}", *(f"-I{root / one}" for one in _INCLUDES)]

    def compile_one(source: _Source) -> None:
        source.object.parent.mkdir(parents=True, exist_ok=True)
        partial = source.object.with_suffix(".partial")
        command = ["nice", "-n", "19", _compiler(), *_FLAGS, *includes, "-c", str(source.path)]
        subprocess.run([*command, "-o", str(partial)], check=True)
        partial.rename(source.object)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, _ in enumerate(pool.map(compile_one, sources), 1):
            sys.stderr.write(f"\rcompiling llama.cpp's tools: {number} of {len(sources)} files")
            sys.stderr.flush()
    if sources:
        sys.stderr.write("\n")
