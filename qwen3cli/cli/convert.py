"""`qwen3 convert`: a safetensors checkpoint becomes a GGUF file or a model in the store."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from converters.recipes import RECIPES, find_recipe
from converters.wishes import Wishes
from qwen3cli.cli.conversions import ConversionProgress, show_plan
from qwen3cli.cli.session import Session
from qwen3cli.errors import ModelNotFound, UsageError
from qwen3cli.machine import MOST_THREADS
from qwen3cli.models import catalog
from qwen3cli.models.conversion import convert_checkpoint, parse_overrides, plan_conversion
from qwen3cli.models.reference import ModelRef
from qwen3cli.models.store import check_name


def convert(
    context: typer.Context,
    checkpoint: Annotated[str, typer.Argument(help="A folder with config.json and safetensors.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT.gguf", help="Where to write.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Install it under this name.")
    ] = None,
    quantization: Annotated[
        str, typer.Option("-q", "--quantization", metavar="TYPE", help=", ".join(RECIPES).lower() + ".")
    ] = "q8_0",
    imatrix: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An importance matrix, which types of three bits and less need."),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A LoRA adapter (PEFT) to merge on the way.")
    ] = None,
    tensor_type: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN=TYPE", help="Another type for some tensors, as in attn_v=q8_0."),
    ] = None,
    output_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Another type for output.weight.")
    ] = None,
    embedding_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Another type for the embeddings.")
    ] = None,
    allow_nonfinite: Annotated[
        bool, typer.Option("--allow-nonfinite", help="Convert weights that are NaN or infinite, too.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, max=MOST_THREADS, metavar="N", help="Default: all cores.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Progress and result as JSON lines on stdout.")
    ] = False,
) -> None:
    """Convert a Qwen3 checkpoint to GGUF."""
    session: Session = context.obj
    session.as_json = as_json
    source = _folder(checkpoint)
    if output is not None and name is not None:
        raise UsageError("`-o` and `--as` exclude each other", "leave one of them out")
    if name is not None:
        check_name(name)
    overrides = parse_overrides(tensor_type or [], output_type, embedding_type)
    wishes = Wishes(name, imatrix, adapter, overrides, allow_nonfinite)
    if dry_run:
        plan = plan_conversion(source, quantization, wishes, output)
        place = session.store.folder if output is None else output.absolute().parent
        show_plan(session, plan, find_recipe(quantization).name, place, threads)
        return
    if output is None and name is None:
        raise UsageError("say where the model goes", "`-o OUT.gguf` writes a file, `--as NAME` installs it")
    notices: list[str] = []
    with ConversionProgress(session, f"converting {source.name or source}", events=as_json) as progress:

        def write(target: Path) -> None:
            notices.extend(
                convert_checkpoint(
                    source, target, quantization, wishes, threads=threads, progress=progress.report
                )
            )

        place, size = _written(session, source, output, name, write)
    for line in notices:
        session.notice(line)
    if as_json:
        session.console.json({"event": "done", "output": place, "bytes": size})
    else:
        session.console.talk(
            f"wrote {place} ({size / 1e6:,.1f} MB); `qwen3 chat {shlex.quote(place)}` runs it"
        )


def _written(
    session: Session, source: Path, output: Path | None, name: str | None, write: Callable[[Path], None]
) -> tuple[str, int]:
    """Have the file made; gives the words that name it from now on, and its size."""
    if output is None:
        entry = session.store.add(name or "", str(source.absolute()), write)
        return entry.name, entry.facts.file_bytes
    write(output)
    # A bare word without the suffix would be taken for a name.
    place = str(output) if ModelRef.parse(str(output)).kind == "path" else f"./{output}"
    return place, output.stat().st_size


def _folder(text: str) -> Path:
    """The checkpoint's folder; raises `ModelNotFound` for what is meant as a model on a hub."""
    path = Path(text).expanduser()
    kind = ModelRef.parse(text).kind
    if kind not in ("family", "hub") or path.exists() or text.startswith((".", "/", "~")):
        return path
    member = catalog.find(text.split(":")[0])
    repository = member.repository if member else text
    raise ModelNotFound(
        f"there is no folder `{text}`, and this release cannot download checkpoints",
        f"fetch {repository} with another tool, then convert its folder",
    )
