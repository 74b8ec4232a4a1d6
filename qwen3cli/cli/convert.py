"""`qwen3 convert`: a safetensors checkpoint becomes a GGUF file or a model in the store."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from converters.recipes import RECIPES
from converters.wishes import Wishes
from qwen3cli.cli.conversions import Job, run_job, show_plan
from qwen3cli.cli.session import Session
from qwen3cli.errors import UsageError
from qwen3cli.machine import MOST_THREADS
from qwen3cli.models.conversion import check_recipe, check_wishes, parse_overrides
from qwen3cli.models.installed import checkpoint_source, is_from
from qwen3cli.models.problems import removal
from qwen3cli.models.reference import ModelRef, exists, without_secrets
from qwen3cli.models.store import Entry, Origin, check_name


def convert(
    context: typer.Context,
    checkpoint: Annotated[
        str, typer.Argument(help="A folder with config.json and safetensors, or OWNER/REPO on a hub.")
    ],
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
    if output is not None and name is not None:
        raise UsageError("`-o` and `--as` exclude each other", "leave one of them out")
    if name is not None:
        check_name(name)
    quantization = check_recipe(quantization)
    overrides = parse_overrides(tensor_type or [], output_type, embedding_type)
    wishes = Wishes(name, imatrix, adapter, overrides, allow_nonfinite)
    if not dry_run and output is None and name is None:
        raise UsageError("say where the model goes", "`-o OUT.gguf` writes a file, `--as NAME` installs it")
    reference = ModelRef.parse(checkpoint)
    remote = reference if reference.is_remote and not exists(checkpoint) else None
    if remote is not None:
        check_wishes(quantization, wishes, output)
        _check_remote(session, remote, wishes, quantization, dry_run=dry_run)
    with _found(session, remote, checkpoint) as (folder, origin):
        may_replace = None if remote is None else partial(_check_same, remote)
        job = Job(folder, origin, quantization, wishes, output, name, threads, may_replace)
        if dry_run:
            show_plan(session, job)
        else:
            run_job(session, job)


def _check_remote(
    session: Session, reference: ModelRef, wishes: Wishes, recipe: str, *, dry_run: bool
) -> None:
    """Raise what a download would be in vain for."""
    if dry_run:
        # `pull` takes no importance matrix, and what is downloaded does not depend on the type.
        kind = "TYPE" if wishes.imatrix is not None else recipe.lower()
        command = f"qwen3 pull {shlex.quote(reference.text)} -q {kind} --dry-run"
        raise UsageError(
            "a dry run needs the checkpoint's folder", f"`{command}` tells what would be downloaded"
        )
    if wishes.name is None:
        return
    session.store.check_place(wishes.name)
    entry = session.store.find(wishes.name)
    if entry is not None:
        _check_same(reference, entry)


def _check_same(reference: ModelRef, entry: Entry) -> None:
    """Raise `UsageError` for a model in the store that is of another repository."""
    if not is_from(entry, checkpoint_source(reference)):
        raise UsageError(
            f"the store has another model of the name `{entry.name}`",
            f"choose another name, or remove that one with `{removal(entry.name)}`",
        )


@contextmanager
def _found(session: Session, remote: ModelRef | None, text: str) -> Generator[tuple[Path, Origin]]:
    """The checkpoint's folder, of one on a hub for the length of the block, and where it came from."""
    if remote is not None:
        from qwen3cli.cli.pulls import fetched_checkpoint

        with fetched_checkpoint(session, remote) as found:
            yield found
    elif text.lower().startswith(("http://", "https://")) and not exists(text):
        raise UsageError(
            f"`{without_secrets(text)}` is no address of the web", "give a folder, or OWNER/REPO on a hub"
        )
    else:
        folder = _folder(text)
        yield folder, Origin(str(folder.absolute()))


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # There is no such user.
        return Path(text)
