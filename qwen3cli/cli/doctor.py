"""`qwen3 doctor`: what is installed, what llama.cpp can do here, where things live."""

from __future__ import annotations

import platform
import sys

import typer

from qwen3cli import __version__
from qwen3cli.cli.session import Session
from qwen3cli.models.fit import available_memory
from qwen3cli.terminal.figures import size

PACKAGES = ("llama-cpp-python", "gguf", "numpy", "jinja2", "typer", "prompt_toolkit", "huggingface_hub")


def doctor(context: typer.Context) -> None:
    """Report what this installation is and can do."""
    session: Session = context.obj
    from qwen3cli.engines import devices, engine_version, physical_cores, system_info

    paths = session.config.paths
    rows = [
        ("qwen3cli", __version__),
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        *((name, _installed(name)) for name in PACKAGES),
        ("llama.cpp", engine_version()),
        ("CPU features", system_info()),
        ("physical cores", str(physical_cores())),
        ("free memory", size(available_memory())),
        *(
            (
                "device",
                f"{d.name} ({d.kind}): {d.description}, {size(d.free_memory)} of {size(d.total_memory)} free",
            )
            for d in devices()
        ),
        ("home", str(paths.home)),
        ("models", ", ".join(entry.name for entry in session.store.entries()) or "none but the demo"),
    ]
    session.console.table(rows)


def _installed(package: str) -> str:
    # Takes 15 ms, and this module loads with every command.
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
