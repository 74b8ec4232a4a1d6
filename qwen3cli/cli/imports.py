"""`qwen3 import`: what other programs have is registered where it lies.

The grammar::

    qwen3 import                            list what all programs have, and change nothing
    qwen3 import PROGRAM [MODEL...]         register the Qwen3 models of a program, or those that are named
    qwen3 import PATH [MODEL...]            the same for a GGUF file, a folder of such, or a program's folder
    qwen3 import ollama://NAME[:TAG]        the same as `qwen3 import ollama NAME[:TAG]`
    … --all                                 also models of other families; without PROGRAM those of all programs
    … --as NAME                             a name for the one model that is registered

PROGRAM is `ollama`, `lmstudio`, `llama.cpp` or `hf`; a folder of that name is `./ollama`. MODEL is a reference as
the list shows it, whole or in part, in any case.
"""

from __future__ import annotations

from typing import Annotated

import typer

from qwen3cli.cli.session import Session


def import_models(
    context: typer.Context,
    where: Annotated[
        str | None,
        typer.Argument(
            metavar="PROGRAM|PATH", help="ollama, lmstudio, llama.cpp, hf; a GGUF file, a folder."
        ),
    ] = None,
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help="Only these, as the list shows them.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Register the one model under this name.")
    ] = None,
    all_: Annotated[
        bool,
        typer.Option("--all", help="Models of other families, too; without PROGRAM those of all programs."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Use models of other programs.

    Lists what Ollama, LM Studio, llama.cpp and Hugging Face's programs have, or registers it without copying.

    \b
    qwen3 import                              list it all, and change nothing
    qwen3 import ollama                       register the Qwen3 models that Ollama has
    qwen3 import ollama qwen3:8b --as NAME    one of them, under a name of its own
    qwen3 import ~/models                     the files of a folder, or one file
    """
    session: Session = context.obj
    session.as_json = as_json
    from qwen3cli.cli.imported import run_import

    run_import(session, where, tuple(models or ()), name, all_=all_)
