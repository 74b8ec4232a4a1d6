"""The machine and the programs in words, for the top of a table."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from tests.oracle.source import PACKAGE


def machine() -> str:
    """Processor, cores, memory, system."""
    cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{_processor()}, {cores} cores, {memory / 2**30:.0f} GiB of memory, {platform.system()}"


def programs() -> str:
    """Versions of what is compared, and of what it runs on."""
    ours = f"qwen3cli {version('qwen3cli')} with llama-cpp-python {version('llama-cpp-python')}"
    theirs = f"llama.cpp's tools from the source archive of {PACKAGE.replace('==', ' ')}"
    return f"{ours}, {theirs}, Python {platform.python_version()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()
