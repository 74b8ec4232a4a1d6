"""The command line: this file only registers commands and owns the one door for errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

import typer

from qwen3cli.cli import bench, cache, chat, convert, doctor, imports, mcp, models, plan, pull, sessions
from qwen3cli.cli.session import Session
from qwen3cli.config import Config
from qwen3cli.errors import ExitCode, Interrupted, NotEnough, QwenError, UsageError, is_disk_full
from qwen3cli.terminal.console import Console
from qwen3cli.terminal.pipes import quiet_broken_pipe

# Rich markup in help costs 100 ms at every start.
app = typer.Typer(
    name="qwen3",
    help="A local chat runner for the Qwen3 family.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        from qwen3cli import __version__

        session: Session = context.obj
        session.console.result(f"qwen3 {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """A local chat runner for the Qwen3 family."""
    if context.invoked_subcommand is None:
        session: Session = context.obj
        session.console.err.write(context.get_help() + "\n")
        raise typer.Exit(int(ExitCode.USAGE))


app.command("chat")(chat.chat)
app.command("pull")(pull.pull)
app.command("import")(imports.import_models)
app.command("convert")(convert.convert)
app.command("list")(models.list_models)
app.command("show")(models.show)
app.command("rm")(models.remove)
app.command("cp")(models.copy)
app.command("plan")(plan.plan)
app.command("bench")(bench.bench)
app.add_typer(mcp.app, name="mcp")
app.add_typer(sessions.app, name="sessions")
app.add_typer(cache.app, name="cache")
app.command("doctor")(doctor.doctor)


def run() -> None:
    """Entry point of the `qwen3` command."""
    code = ExitCode.DONE
    # A reader that went away is no failure of ours: the process ends quietly, as done.
    with quiet_broken_pipe():
        code = main()
    sys.exit(int(code))


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Run one command; with `_run`, the only place that turns errors into a sentence, a hint and a code."""
    console = console or Console()
    try:
        session = Session(console, Config.of(console.environ))
    except QwenError as error:
        with suppress(QwenError):
            console.error(error.message, error.hint)
        return int(error.exit_code)
    return _run(session, list(sys.argv[1:] if arguments is None else arguments))


def _run(session: Session, args: list[str]) -> int:
    console = session.console
    try:
        command = typer.main.get_command(app)
        # Not `command.main`, which has exit codes of its own for a Ctrl-C and a broken pipe.
        with command.make_context("qwen3", list(args), obj=session) as context:
            command.invoke(context)
        return int(ExitCode.DONE)
    except typer.Exit as done:
        return done.exit_code
    except QwenError as error:
        session.show_error(error)
        return int(error.exit_code)
    except typer.TyperException as error:
        # The parser stopped before `--json` could be obeyed.
        session.as_json |= "--json" in args[: args.index("--") if "--" in args else None]
        hint = f"`{_place_of(error)} --help` shows what there is"
        session.show_error(UsageError(error.format_message().rstrip("."), hint))
        return int(ExitCode.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        if session.as_json:
            session.show_error(Interrupted())
        else:
            console.fresh_line()
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        raise
    except Exception as error:
        known = _lack(error) or _as_bug(error)
        if session.config.debug and not isinstance(known, NotEnough):
            raise
        session.show_error(known)
        return int(known.exit_code)


def _place_of(error: typer.TyperException) -> str:
    """The command that was not understood, as it was typed; the parser does not say it of every error."""
    path = getattr(getattr(error, "ctx", None), "command_path", None)
    return path if isinstance(path, str) else "qwen3 COMMAND"


def _lack(error: Exception) -> NotEnough | None:
    """What can run out anywhere, even while the parser prints its help."""
    if isinstance(error, MemoryError):
        return NotEnough("the memory ran out", "close other programs, or take a smaller model or prompt")
    if isinstance(error, OSError) and is_disk_full(error):
        return NotEnough(f"the disk is full: {error.strerror}", "free some space")
    return None


def _as_bug(error: Exception) -> QwenError:
    return QwenError(
        f"this is a bug in qwen3: {type(error).__name__}: {error}",
        "set `QWEN3_DEBUG=1` to see where, and please report it",
    )
