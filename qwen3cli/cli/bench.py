"""`qwen3 bench`: how fast a model is on this machine."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Annotated

import typer

from qwen3cli.cli.finding import default_model, find_facts
from qwen3cli.cli.opening import RunOptions, placed
from qwen3cli.cli.session import Session
from qwen3cli.errors import UsageError
from qwen3cli.machine import MOST_TOKENS, Measured, ModelFacts
from qwen3cli.terminal.interrupts import cancelling
from qwen3cli.terminal.progress import LiveLine

_DEPTHS = "0,1000,4000"


def bench(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="A model.")] = None,
    depths: Annotated[
        str, typer.Option(metavar="N,N", help="Tokens in the context while decoding is measured.")
    ] = _DEPTHS,
    rounds: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Rounds; medians count.")] = 5,
    threads: Annotated[int | None, typer.Option(min=1, metavar="N", help="Default: physical cores.")] = None,
    draft: Annotated[
        str | None, typer.Option(metavar="MODEL", help="What does this small model gain that drafts?")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Measure prefill, decoding, the first token, and what drafts gain.

    Prefill and decoding are what llama-bench calls pp512 and tg64, with drawing.
    """
    session: Session = context.obj
    session.as_json = as_json
    wanted = _depths(depths)
    from qwen3cli.engines import measure

    facts = find_facts(session, model or default_model(session))
    size = min(max(2048, max(wanted) + 256), facts.context_length or MOST_TOKENS)
    small = None if draft is None else find_facts(session, draft)
    placement, drafts = placed(session, facts, RunOptions(size, threads), small)
    doing, stop = ["loading"], threading.Event()
    with LiveLine(session.console, lambda _: f"{doing[0]}..."), cancelling(stop.set):
        measured = measure(
            facts,
            placement,
            drafts=drafts,
            depths=wanted,
            rounds=rounds,
            tell=lambda what: doing.__setitem__(0, what),
            stop=stop,
        )
    if as_json:
        session.console.json({"model": facts.name, "threads": placement.threads, **asdict(measured)})
    else:
        session.console.table(_rows(measured, small))


def _depths(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and len(word) < 9 for word in words):
        raise UsageError(f"`--depths` takes numbers of tokens, not `{text}`", f"write them as in `{_DEPTHS}`")
    return [int(word) for word in words]


def _rows(measured: Measured, small: ModelFacts | None) -> list[tuple[str, str]]:
    rows = [
        ("load", f"{measured.load_s:.2f} s"),
        ("prefill", f"{measured.prefill:,.1f} tokens/s"),
        *(
            (f"decoding after {depth.tokens:,} tokens", f"{depth.rate:,.1f} tokens/s")
            for depth in measured.decode
        ),
        (f"first token after {measured.prompt:,} new tokens", f"{measured.cold_s:.3f} s"),
        (f"first token after {measured.prompt:,} kept ones", f"{measured.warm_s:.3f} s"),
        ("quoting with drafts", _gain(measured.drafted, measured.quoting)),
    ]
    if small is not None and (gain := measured.by_model) is not None:
        came = f"{gain.accepted_tokens:,} of {gain.drafted_tokens:,} drafted tokens came"
        rows.append((f"writing with drafts of {small.name}", f"{_gain(gain.drafted, gain.plain)}; {came}"))
    return rows


def _gain(drafted: float, plain: float) -> str:
    return f"{drafted:,.1f} tokens/s ({drafted / plain:.2f} times as fast)"
