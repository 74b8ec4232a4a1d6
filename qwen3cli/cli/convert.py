"""`qwen3 convert`: a safetensors checkpoint becomes a GGUF file or a model in the store."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from converters.recipes import RECIPES
from converters.wishes import Wishes
from qwen3cli.cli.conversions import Job, changes_of, run_job, show_plan
from qwen3cli.cli.session import Session
from qwen3cli.errors import UsageError
from qwen3cli.machine import MOST_THREADS
from qwen3cli.models.conversion import check_recipe, check_wishes, parse_overrides
from qwen3cli.models.installed import checkpoint_source, is_made_from
from qwen3cli.models.problems import removal
from qwen3cli.models.reference import ModelRef, exists, without_secrets
from qwen3cli.models.store import Entry, Origin, check_name

if TYPE_CHECKING:
    from qwen3cli.cli.pulls import Fetched


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
    if reference.kind == "ollama":
        raise UsageError(
            f"`{checkpoint}` names a model of Ollama's, which is GGUF already",
            f"`qwen3 import {shlex.quote(checkpoint)}` registers it; checkpoints are such as `Qwen/Qwen3-8B`",
        )
    remote = reference if reference.is_remote and not exists(checkpoint) else None
    if remote is not None:
        _check_remote(remote, quantization, wishes, output, dry_run=dry_run)
    source = checkpoint_source(remote) if remote is not None else str(_folder(checkpoint).absolute())
    if name is not None and not dry_run:
        _check_place(session, name, source, wishes)
    with _found(session, remote, checkpoint, quantization, output) as found:
        may_replace = partial(_check_same, source, wishes)
        job = Job(
            found.folder, found.origin, quantization, wishes, output, name, threads, may_replace, found.check
        )
        if dry_run:
            show_plan(session, job)
        else:
            run_job(session, job)


def _check_remote(
    reference: ModelRef, recipe: str, wishes: Wishes, output: Path | None, *, dry_run: bool
) -> None:
    """Raise what a download would be in vain for."""
    if reference.wanted and reference.kind != "kaggle":
        plain = reference.text.rpartition(":")[0]
        raise UsageError(
            f"`:{reference.wanted}` names a GGUF file, which needs no conversion",
            f"`qwen3 pull {shlex.quote(reference.text)}` fetches it; `{plain}` alone is the checkpoint",
        )
    check_wishes(recipe, wishes, output)
    if dry_run:
        # What is downloaded does not depend on the type; `pull` takes none that needs an importance matrix.
        kind = "q8_0" if wishes.imatrix is not None else recipe.lower()
        command = f"qwen3 pull {shlex.quote(reference.text)} -q {kind} --dry-run"
        raise UsageError(
            "a dry run needs the checkpoint's folder", f"`{command}` tells what would be downloaded"
        )


def _check_place(session: Session, name: str, source: str, wishes: Wishes) -> None:
    """Raise what would keep the model from getting its name."""
    session.store.check_place(name)
    entry = session.store.find(name)
    if entry is not None:
        _check_same(source, wishes, entry)


def _check_same(source: str, wishes: Wishes, entry: Entry) -> None:
    """Raise `UsageError` for a model in the store that is of another checkpoint, or has changes that would be lost."""
    lost = entry.origin.changes not in ("", changes_of(wishes))
    if lost or not is_made_from(entry, source):
        raise UsageError(
            f"the store has another model of the name `{entry.name}`, from {entry.origin.shown}",
            f"choose another name, or remove that one with `{removal(entry.name)}`",
        )


@contextmanager
def _found(
    session: Session, remote: ModelRef | None, text: str, recipe: str, output: Path | None
) -> Generator[Fetched]:
    """The checkpoint, of one on a hub for the length of the block."""
    from qwen3cli.cli.pulls import Fetched, fetched_checkpoint

    if remote is not None:
        target = session.store.folder if output is None else output.absolute().parent
        with fetched_checkpoint(session, remote, recipe, target) as found:
            yield found
    elif text.lower().startswith(("http://", "https://")) and not exists(text):
        raise UsageError(
            f"`{without_secrets(text)}` is no address of the web", "give a folder, or OWNER/REPO on a hub"
        )
    else:
        folder = _folder(text)
        yield Fetched(folder, Origin(str(folder.absolute())))


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # There is no such user.
        return Path(text)
