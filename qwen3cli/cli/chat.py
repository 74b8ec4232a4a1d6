"""`qwen3 chat`: REPL, one-shot, pipe."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qwen3cli.chat.events import TurnEnded
from qwen3cli.chat.limits import when_full_of
from qwen3cli.chat.ports import ChatSettings
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.cli.desk import ChatDesk
from qwen3cli.cli.finding import default_model, is_model
from qwen3cli.cli.full import when_full_question
from qwen3cli.cli.opening import ALL, PROMPT, RunOptions, opener
from qwen3cli.cli.prompt import check_text, gather_prompt
from qwen3cli.cli.session import Session
from qwen3cli.cli.wishes import ToolWishes, answer_check, choice_of, format_of, wanted_tools
from qwen3cli.errors import ExitCode, UsageError
from qwen3cli.machine import KV_TYPES, MOST_THREADS, MOST_TOKENS
from qwen3cli.terminal.interrupts import cancelling
from qwen3cli.terminal.renderer import turn_renderer

if TYPE_CHECKING:
    from qwen3cli.cli.answers import AnswerCheck
    from qwen3cli.cli.resuming import Start


def chat(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help="A name, a .gguf path, or `demo`.", show_default=False)
    ] = None,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="The prompt.", show_default=False)
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("-p", "--prompt", help="The prompt, for the default model.")
    ] = None,
    prompt_file: Annotated[Path | None, typer.Option(help="A file that holds the prompt.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Complete the text as it stands, without chat template.")
    ] = False,
    think: Annotated[bool | None, typer.Option("--think/--no-think", help="Thinking on or off.")] = None,
    think_budget: Annotated[
        int | None, typer.Option(min=0, max=MOST_TOKENS, metavar="N", help="Most tokens to think with.")
    ] = None,
    hide_thinking: Annotated[
        bool, typer.Option("--hide-thinking", help="One live line instead of the thinking.")
    ] = False,
    show_thinking: Annotated[
        bool, typer.Option("--show-thinking", help="Thinking to stderr even in a pipe.")
    ] = False,
    system: Annotated[str | None, typer.Option("-s", "--system", help="The system prompt.")] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="F", help="Sampling temperature; 0 is greedy.")
    ] = None,
    top_p: Annotated[float | None, typer.Option(metavar="F", help="Nucleus sampling.")] = None,
    top_k: Annotated[
        int | None, typer.Option(metavar="N", help="Most likely tokens kept; 0 keeps all.")
    ] = None,
    min_p: Annotated[
        float | None, typer.Option(metavar="F", help="Least share of the likeliest token.")
    ] = None,
    presence_penalty: Annotated[
        float | None, typer.Option(metavar="F", help="Against repetition, 0 to 2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Makes sampling repeatable.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, max=MOST_TOKENS, metavar="N", help="Most tokens to generate.")
    ] = None,
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Ends the answer; may be repeated.")
    ] = None,
    ctx: Annotated[
        int | None, typer.Option(min=64, max=MOST_TOKENS, metavar="N", help="Context size in tokens.")
    ] = None,
    when_full: Annotated[
        str | None,
        typer.Option(metavar="ask|summarise|drop|stop", help="What makes way when the context is full."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=MOST_THREADS, metavar="N", help="Default: physical cores.")
    ] = None,
    gpu_layers: Annotated[str, typer.Option(metavar="auto|N", help="Layers on the GPU.")] = "auto",
    cpu_moe: Annotated[
        bool, typer.Option("--cpu-moe", help="A mixture's experts stay in main memory.")
    ] = False,
    n_cpu_moe: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Those of the first N layers do.")
    ] = None,
    kv_type: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help=f"KV cache type: {' '.join(KV_TYPES)}.", show_default="f16"),
    ] = None,
    draft: Annotated[
        str, typer.Option(metavar="MODEL|prompt|off", help="A small model drafts, or none at all does.")
    ] = PROMPT,
    answer_format: Annotated[
        str | None,
        typer.Option("--format", metavar="json|SCHEMA.json", help="The answer is JSON, of this schema."),
    ] = None,
    mcp: Annotated[
        Path | None, typer.Option("--mcp", metavar="FILE", help="MCP servers of this file, too.")
    ] = None,
    tools: Annotated[
        bool | None,
        typer.Option("--tools/--no-tools", help="Tools of MCP servers; without a prompt they are on."),
    ] = None,
    tool_choice: Annotated[
        str, typer.Option(metavar="auto|required|none", help="Whether the model has to call a tool.")
    ] = "auto",
    name: Annotated[
        str | None,
        typer.Option("--session", metavar="NAME", help="Go on with this session, or begin it."),
    ] = None,
    latest: Annotated[bool, typer.Option("--continue", help="Go on with the last session.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Every tool call may run, unasked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One event a line on stdout.")] = False,
    stats: Annotated[bool, typer.Option("--stats", help="Statistics of each turn on stderr.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Results and errors only.")] = False,
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Do not read stdin.")] = False,
) -> None:
    """Chat with a model, or answer one prompt."""
    session: Session = context.obj
    session.console.quiet, session.as_json = quiet, as_json
    if think and think_budget == 0:
        raise UsageError("`--think` and `--think-budget 0` contradict each other", "leave one of them out")
    if hide_thinking and show_thinking:
        raise UsageError("`--hide-thinking` and `--show-thinking` exclude each other", "leave one out")
    for flag, given in (("--system", system), *(("--stop", one) for one in stop or ())):
        check_text(given, f"`{flag}`")
    sampling = SamplingChoice(temperature, top_p, top_k, min_p, presence_penalty, seed)
    settings = ChatSettings(
        think,
        think_budget,
        sampling,
        max_tokens,
        tuple(stop or ()),
        choice_of(tool_choice),
        format_of(answer_format),
        raw,
        stats,
        when_full_of(when_full, "--when-full") if when_full is not None else None,
    )
    moe = ALL if cpu_moe else n_cpu_moe
    options = RunOptions(ctx, threads, _layers(gpu_layers), moe, _kv_type(kv_type), draft)
    _check_lone_words(session, model, words or [])
    text = gather_prompt(session.console, words or [], prompt, prompt_file, read_stdin=not no_stdin)
    if text is None:
        _require_terminal(session)
    check = answer_check(settings.format)
    formatted = settings.format is not None
    wishes = ToolWishes(
        tools, mcp, settings.tool_choice, everything=yes, repl=text is None, raw=raw, formatted=formatted
    )
    # Takes 10 ms, which `--help` does without.
    from qwen3cli.cli.resuming import Start, started

    start = Start(model, options, settings, system)
    with started(session, start, name, latest=latest, repl=text is None) as start:
        desk = _desk(session, start, wishes, check if text is None else None)
        try:
            for line in desk.opening_notices():
                session.notice(line)
            if text is None:
                code = _repl(session, desk, hide_thinking=hide_thinking)
            else:
                code = _one_shot(
                    session, desk, text, check, show_thinking=show_thinking, hide_thinking=hide_thinking
                )
        finally:
            desk.close()
            if check is not None:
                check.close()
    raise typer.Exit(int(code))


def _desk(session: Session, start: Start, wishes: ToolWishes, check: AnswerCheck | None) -> ChatDesk:
    """The desk with model and tools; while the model loads, the servers start."""
    from qwen3cli.cli.journaled import JournaledDesk
    from qwen3cli.cli.resuming import fitting, or_another

    open_by_name = opener(session, start.options)
    with ExitStack() as opened:
        tools = wanted_tools(session, wishes)
        if tools is not None:
            opened.callback(tools.close)
        model = start.model or default_model(session)
        with or_another(start):
            facts, engine = open_by_name(model)
        opened.callback(engine.close)
        desk = (ChatDesk if start.journal is None else JournaledDesk)(
            facts,
            engine,
            fitting(session, start, engine),
            system=start.system,
            open_model=partial(open_by_name, again=True),
            store=session.store,
            tools=tools,
            attaches=wishes.repl,
            check=check,
            when_full=None if session.as_json else when_full_question(session.console),
        )
        if isinstance(desk, JournaledDesk) and start.journal is not None:
            desk.go_on(start.journal, model, start.options)
        opened.pop_all()
    return desk


def _one_shot(
    session: Session,
    desk: ChatDesk,
    text: str,
    check: AnswerCheck | None,
    *,
    show_thinking: bool,
    hide_thinking: bool,
) -> ExitCode:
    renderer = turn_renderer(
        session.console,
        as_json=session.as_json,
        show_thinking=show_thinking,
        hide_thinking=hide_thinking,
        stats=desk.settings.verbose,
    )
    code = ExitCode.DONE
    try:
        with cancelling(desk.cancel, desk.allow):
            for event in desk.say(text):
                renderer.show(event)
                if check is not None:
                    check.hear(event)
                if isinstance(event, TurnEnded) and event.finish in ("interrupted", "context"):
                    code = ExitCode.INTERRUPTED if event.finish == "interrupted" else ExitCode.CONTEXT_FULL
    finally:
        renderer.close()
    if check is not None:
        check.check()
    return code


def _repl(session: Session, desk: ChatDesk, *, hide_thinking: bool) -> ExitCode:
    from qwen3cli.terminal.repl import run_repl

    return run_repl(desk, session.console, session.config.paths.history, hide_thinking=hide_thinking)


def _check_lone_words(session: Session, model: str | None, words: list[str]) -> None:
    if model is not None and not model.strip():
        raise UsageError("MODEL is empty", "name a model, or leave it out and use `-p PROMPT`")
    if model is not None and not words and not is_model(session, model):
        raise UsageError(f"`{model}` is no model", "to ask the default model, use `qwen3 chat -p PROMPT`")


def _require_terminal(session: Session) -> None:
    console = session.console
    if session.as_json or not (console.stdin_is_terminal and console.stdout_is_terminal):
        raise UsageError(
            "there is no prompt and no terminal to chat at",
            "give a PROMPT, `-p PROMPT`, or pipe one through stdin",
        )


def _layers(text: str) -> int | None:
    if text.lower() == "auto":
        return None
    if text.isdecimal():
        return int(text)
    raise UsageError(f"`--gpu-layers` takes `auto` or a number, not `{text}`")


def _kv_type(text: str | None) -> str | None:
    if text is None:
        return None
    if text.lower() not in KV_TYPES:
        raise UsageError(f"`--kv-type` does not know `{text}`", f"it takes {', '.join(KV_TYPES)}")
    return text.lower()
