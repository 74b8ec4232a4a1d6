"""`qwen3 doctor`: what is installed, what llama.cpp can do here, where things live."""

from __future__ import annotations

import platform
import re
import sys

import typer

from qwen3cli import __version__
from qwen3cli.cli.session import Session
from qwen3cli.errors import QwenError
from qwen3cli.models.machines import available_memory
from qwen3cli.terminal.figures import size


def doctor(context: typer.Context) -> None:
    """Report what this installation is and can do."""
    session: Session = context.obj
    from qwen3cli.engines import devices, llama_cpp_build, physical_cores, system_info

    paths = session.config.paths
    rows = [
        ("qwen3cli", __version__),
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        *((name, _installed(name)) for name in _packages()),
        ("llama.cpp", llama_cpp_build()),
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
        ("models", _models(session)),
    ]
    session.console.table(rows)


def _models(session: Session) -> str:
    """Names, and what is wrong with the store: a report must not end at what it is to report."""
    try:
        entries, unread = session.store.listing()
    except QwenError as error:
        return error.message
    names = [*(entry.name for entry in entries), *(f"{one.name} ({one.reason})" for one in unread)]
    return ", ".join(names) or "none but the demo"


def _packages() -> list[str]:
    """What this program needs at run time, as its own package says."""
    from importlib import metadata

    needed = metadata.requires("qwen3cli") or []
    return [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in needed if "extra ==" not in line]


def _installed(package: str) -> str:
    # Takes 15 ms, and this module loads with every command.
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
