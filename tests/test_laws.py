"""The laws that a machine can check: import directions, start-up, the one door to the terminal."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen3cli.models.manifest import Origin
from qwen3cli.models.store import ModelStore

ROOT = Path(__file__).parent.parent
HEAVY = {
    *("llama_cpp", "mcp", "huggingface_hub", "gguf", "jinja2", "prompt_toolkit", "numpy", "httpx2", "rich"),
    *("ssl", "qwen3cli.models.download"),
}

# Which rooms of qwen3cli a room may import; every room may import the leaves listed under "leaf".
LEAVES = {"errors", "paths", "config", "machine", "child", "private"}
ALLOWED = {
    "errors": set[str](),
    "paths": set[str](),
    "machine": set[str](),
    "child": set[str](),
    "private": set[str](),
    "config": {"paths", "errors"},
    "chat": {"errors", "machine"},
    "terminal": LEAVES | {"chat"},
    "engines": LEAVES | {"chat"},
    "tools": LEAVES | {"chat"},
    "sessions": LEAVES | {"chat"},
    "models": LEAVES | {"chat", "demo"},
    "demo": set[str](),
    "cli": LEAVES | {"chat", "terminal", "engines", "tools", "models", "sessions", ""},
    "__main__": {"cli"},
    "__init__": set[str](),
}
# The files that own the standard streams.
AT_THE_STREAMS = {"console.py", "repl.py", "pipes.py"}
STREAMS = {"stdout", "stderr", "stdin", "__stdout__", "__stderr__"}
MAY_IMPORT_CONVERTERS = {"models", "cli"}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        yield parts[0], path


def imports_of(path: Path) -> Iterator[str]:
    """Every module that `path` imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def breaches(package: str) -> list[str]:
    found: list[str] = []
    for room, path in modules(package):
        for name in imports_of(path):
            top, _, rest = name.partition(".")
            if package == "converters" and top == "qwen3cli":
                found.append(f"{path}: {name}")
            if package == "qwen3cli" and top == "converters" and room not in MAY_IMPORT_CONVERTERS:
                found.append(f"{path}: {name}")
            if package == "qwen3cli" and top == "qwen3cli":
                target = rest.split(".")[0]
                target = target if (ROOT / "qwen3cli" / target).exists() or is_module(target) else ""
                if target != room and target not in ALLOWED[room]:
                    found.append(f"{path}: {name}")
    return found


def is_module(name: str) -> bool:
    return (ROOT / "qwen3cli" / f"{name}.py").exists()


def test_imports_go_one_way() -> None:
    assert breaches("qwen3cli") == []


def test_converters_know_nothing_of_the_program() -> None:
    assert breaches("converters") == []


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["chat", "--help"], ["--version"]])
def test_start_up_loads_nothing_heavy(arguments: list[str], tmp_path: Path, tiny_gguf: Path) -> None:
    store = ModelStore(tmp_path / "models")
    for name in ("sound", "damaged"):
        store.add(name, Origin("a test"), lambda target: shutil.copyfile(tiny_gguf, target) and None)
    (store.folder / "damaged" / "manifest.json").write_text("{")
    code = (
        "import sys\n"
        "from qwen3cli.cli import main\n"
        f"main({arguments!r})\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    environ = {**os.environ, "QWEN3_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"
    if arguments == ["list"]:
        assert "sound" in done.stdout
        assert "`damaged`" in done.stderr


def printing(source: str) -> list[str]:
    """Whatever in `source` writes to a terminal past the console."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id == "print":
            found.append(f"{node.lineno} print")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            # `typer.echo`, `click.secho`, `typer.style`: all go around the sanitiser.
            if (node.value.id == "sys" and node.attr in STREAMS) or node.attr in ("echo", "secho"):
                found.append(f"{node.lineno} {name}")
        if isinstance(node, ast.ImportFrom) and node.module in ("sys", "typer", "click"):
            names = {alias.name for alias in node.names} & (STREAMS | {"echo", "secho"})
            found.extend(f"{node.lineno} {name}" for name in names)
    return found


def test_only_the_console_prints() -> None:
    """`print` and the standard streams are for the console; child processes talk through their pipes."""
    found: list[str] = []
    for package in ("qwen3cli", "converters"):
        for room, path in modules(package):
            if path.name not in AT_THE_STREAMS and room != "demo":
                found.extend(f"{path}:{what}" for what in printing(path.read_text(encoding="utf-8")))
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "print(1)",
        "import sys\nsys.stdout.write('x')",
        "from sys import stderr",
        "import typer\ntyper.echo(1)",
    ],
)
def test_printing_is_seen(source: str) -> None:
    assert len(printing(source)) == 1


def test_the_project_stands_alone() -> None:
    """Nothing refers to a folder outside the project."""
    needle = "../" + "shared"
    for pattern in ("**/*.py", "*.md", "*.toml", "Makefile", ".ci/*"):
        for path in ROOT.glob(pattern):
            if path.is_file() and ".venv" not in path.parts and ".oracle" not in path.parts:
                assert needle not in path.read_text(encoding="utf-8"), path
