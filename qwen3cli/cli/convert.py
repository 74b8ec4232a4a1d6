"""`qwen3 convert`: a safetensors checkpoint becomes a GGUF file or a model in the store."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from converters.recipes import RECIPES
from converters.wishes import Wishes
from qwen3cli.cli.session import Session
from qwen3cli.errors import UsageError
from qwen3cli.machine import MOST_THREADS
from qwen3cli.models.conversion import convert_checkpoint
from qwen3cli.models.reference import ModelRef
from qwen3cli.terminal.progress import Progress as Bar

if TYPE_CHECKING:
    from converters import Progress


def convert(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="A folder with config.json and safetensors.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT.gguf", help="Where to write.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Install it under this name.")
    ] = None,
    quantization: Annotated[
        str, typer.Option("-q", "--quantization", metavar="TYPE", help=", ".join(RECIPES).lower() + ".")
    ] = "q8_0",
    threads: Annotated[
        int | None, typer.Option(min=1, max=MOST_THREADS, metavar="N", help="Default: all cores.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Progress and result as JSON lines on stdout.")
    ] = False,
) -> None:
    """Convert a Qwen3 checkpoint to GGUF."""
    session: Session = context.obj
    session.as_json = as_json
    if (output is None) == (name is None):
        raise UsageError("say where the model goes", "`-o OUT.gguf` writes a file, `--as NAME` installs it")
    console, notices = session.console, list[str]()
    with Bar(console, f"converting {checkpoint.name or checkpoint}") as bar:

        def report(step: Progress) -> None:
            bar.update(step.bytes_done, step.bytes_total)
            if as_json:
                console.json(_as_event(step))

        def write(target: Path) -> None:
            notices.extend(
                convert_checkpoint(
                    checkpoint, target, quantization, Wishes(name), threads=threads, progress=report
                )
            )

        if output is not None:
            write(output)
            # A bare word without the suffix would be taken for a name.
            place = str(output) if ModelRef.parse(str(output)).kind == "path" else f"./{output}"
            size = output.stat().st_size
        else:
            entry = session.store.add(name or "", str(checkpoint.absolute()), write)
            place, size = entry.name, entry.facts.file_bytes
    for line in notices:
        session.notice(line)
    if as_json:
        console.json({"event": "done", "output": place, "bytes": size})
    else:
        console.talk(f"wrote {place} ({size / 1e6:,.1f} MB); `qwen3 chat {shlex.quote(place)}` runs it")


def _as_event(step: Progress) -> dict[str, str | int]:
    return {
        "event": "progress",
        "bytes": step.bytes_done,
        "total": step.bytes_total,
        "tensors": step.tensors_done,
        "tensors_total": step.tensors_total,
        "tensor": step.tensor,
    }
