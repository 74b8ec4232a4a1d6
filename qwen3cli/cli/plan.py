"""`qwen3 plan`: what a model needs, and which quantization suits this machine or one that is described."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from qwen3cli.cli.finding import find_facts
from qwen3cli.cli.session import Session
from qwen3cli.errors import ModelNotFound
from qwen3cli.machine import MOST_TOKENS
from qwen3cli.models import catalog
from qwen3cli.models.filenames import SUFFIX
from qwen3cli.models.installed import find_installed
from qwen3cli.models.machines import LEAST_CONTEXT, Machine, described, parse_ram, parse_size, this_machine
from qwen3cli.models.reference import ModelRef, candidates
from qwen3cli.models.variants import label_of

if TYPE_CHECKING:
    from qwen3cli.cli.planned import Subject

_WITH_MEMBERS = ("family", "hf", "modelscope")


def plan(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A family name such as `8b` or `8b:q5_k_m`, or a model.")],
    ctx: Annotated[
        int | None, typer.Option(min=64, max=MOST_TOKENS, metavar="N", help="Context size in tokens.")
    ] = None,
    ram: Annotated[
        str | None, typer.Option(metavar="N", help="Memory of another machine, as in 16G.")
    ] = None,
    vram: Annotated[
        str | None, typer.Option(metavar="N", help="Memory of its GPU, as in 24GiB; 0 for none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Show what fits into the memory.

    What a model needs, on this machine or a described one, and which quantization is the best that fits.
    """
    session: Session = context.obj
    session.as_json = as_json
    from qwen3cli.cli.planned import Planned

    machine = _machine(ram, vram)
    subject = _subject(session, model)
    native = subject.models[0].context
    planned = Planned.of(subject, machine, ctx or min(LEAST_CONTEXT, native or LEAST_CONTEXT))
    if ctx and native and ctx > native:
        session.notice(f"{subject.title} was trained for {native:,} tokens of context, not {ctx:,}")
    if as_json:
        session.console.json(planned.as_json())
    else:
        planned.show(session.console)


def _machine(ram: str | None, vram: str | None) -> Machine:
    gpu = None if vram is None else parse_size(vram, "--vram")
    if ram is not None:
        return described(parse_ram(ram), gpu)
    if gpu is not None:
        return replace(this_machine(), gpus=(gpu,) if gpu else ())
    # Takes 200 ms, and a described machine needs none.
    from qwen3cli.engines import devices

    return this_machine(devices())


def _subject(session: Session, text: str) -> Subject:
    """What the person named: a model that is here, or a member of the family in the quantizations to choose from."""
    from qwen3cli.cli.planned import Subject
    from qwen3cli.models.plan import needs_of_family
    from qwen3cli.models.sizes import needs_of_file, needs_of_member

    reference = ModelRef.parse(text)
    member = catalog.find_in_repository(reference.place) if reference.kind in _WITH_MEMBERS else None
    if reference.kind in ("demo", "path") or session.store.find(text) is not None:
        facts = find_facts(session, text)
        return Subject(facts.name, (needs_of_file(facts),), compared=member)
    if member is not None:
        wanted = _quantization(reference.wanted)
        models = [needs_of_member(member, wanted)] if wanted else needs_of_family(member)
        return Subject(member.name, tuple(models), member)
    if find_installed(session.store, reference) is None:
        names = candidates(text) or f"`{text}` is no member of it"
        hint = f"{names}; `qwen3 list` shows what is installed"
        raise ModelNotFound("`qwen3 plan` knows the Qwen3 family and models that are here", hint)
    facts = find_facts(session, text)
    return Subject(facts.name, (needs_of_file(facts),))


def _quantization(wanted: str) -> str:
    """What stands after the colon, or in the name of a file that stands there."""
    if not wanted.lower().endswith(SUFFIX):
        return wanted
    return label_of(wanted[: -len(SUFFIX)]) or wanted
