"""`qwen3 pull`: a model from a hub into the store."""

from __future__ import annotations

import shlex
from typing import Annotated, cast, get_args

import typer

from converters.recipes import RECIPES
from qwen3cli.cli.session import Session
from qwen3cli.errors import UsageError
from qwen3cli.models.catalog import FAMILY
from qwen3cli.models.reference import ModelRef, SourceChoice, candidates
from qwen3cli.models.store import check_name

SIZES = ", ".join(member.name for member in FAMILY.values() if not (member.base or member.sibling))
SOURCES: tuple[str, ...] = get_args(SourceChoice)


def pull(
    context: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help=f"A size ({SIZES}), with :QUANT if wanted; OWNER/REPO[:QUANT|:FILE]; ms://…, kaggle://…; a URL.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Install it under this name.")
    ] = None,
    source: Annotated[
        str, typer.Option(metavar="|".join(SOURCES), help="Which hub; auto tries one after the other.")
    ] = "auto",
    quantization: Annotated[
        str | None,
        typer.Option(
            "-q",
            "--quantization",
            metavar="TYPE",
            help=f"Convert the checkpoint: {', '.join(RECIPES).lower()}.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if it does not fit the memory of this machine.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be downloaded, and download nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Progress and result as JSON lines on stdout.")
    ] = False,
) -> None:
    """Download a model.

    Every file is checked against the hub's own checksum. A pull that was stopped goes on where it stood when it is
    called again; one of an installed model gets a newer revision, if there is one. HF_ENDPOINT names a mirror,
    HF_TOKEN, MODELSCOPE_API_TOKEN and KAGGLE_API_TOKEN open what is not public.
    """
    session: Session = context.obj
    session.as_json = as_json
    if name is not None:
        check_name(name)
    if source not in SOURCES:
        raise UsageError(f"`--source` does not know `{source}`", f"it takes {', '.join(SOURCES)}")
    parsed = ModelRef.parse(reference)
    if not parsed.is_remote:
        raise _no_reference(parsed)
    from qwen3cli.cli.pulls import run_pull, show_pull
    from qwen3cli.models.pull import Request

    request = Request(parsed, name, cast(SourceChoice, source), quantization)
    if dry_run:
        show_pull(session, request)
    else:
        run_pull(session, request, force=force)


def _no_reference(reference: ModelRef) -> UsageError:
    """What to say of a text that no hub could have a model for."""
    if names := candidates(reference.text):
        return UsageError(f"`{reference.text}` names no member of the family for certain", names)
    return UsageError(f"`{reference.text}` is nothing that a hub could have", _instead(reference))


def _instead(reference: ModelRef) -> str:
    quoted = shlex.quote(reference.text)
    if reference.kind == "path":
        return f"`qwen3 import {quoted}` registers a file that is on this machine"
    if reference.kind == "ollama":
        return f"`qwen3 import ollama {shlex.quote(reference.place)}` registers what Ollama has"
    return f"name a size ({SIZES}), a repository such as `Qwen/Qwen3-8B-GGUF`, or a URL"
