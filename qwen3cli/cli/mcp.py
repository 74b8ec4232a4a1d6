"""`qwen3 mcp`: which MCP servers there are, and whether they work.

The grammar::

    qwen3 mcp list [--mcp FILE] [--json]
    qwen3 mcp add NAME [--env KEY=VALUE]... -- COMMAND [ARGUMENT]...
    qwen3 mcp add NAME [--header NAME:VALUE]... [--transport http|sse] URL
    qwen3 mcp remove NAME
    qwen3 mcp check [NAME]... [--mcp FILE] [--json]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qwen3cli.cli.session import Session

app = typer.Typer(help="MCP servers: tools that a model can call.", rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Extra = Annotated[Path | None, typer.Option("--mcp", metavar="FILE", help="Servers of this file, too.")]


@app.command("list")
def list_servers(context: typer.Context, extra: Extra = None, as_json: Json = False) -> None:
    """List the servers of your own file and of this folder."""
    session: Session = context.obj
    session.as_json = as_json
    from qwen3cli.cli.servers import show_servers

    show_servers(session, extra)


@app.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.")],
    words: Annotated[list[str], typer.Argument(metavar="COMMAND [ARGUMENT]... | URL")],
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env", metavar="KEY=VALUE", help="A variable for the command; `${NAME}` is filled in."
        ),
    ] = None,
    headers: Annotated[
        list[str] | None, typer.Option("--header", metavar="NAME:VALUE", help="A header for the URL.")
    ] = None,
    transport: Annotated[
        str | None, typer.Option("--transport", metavar="stdio|http|sse", help="How it is talked to.")
    ] = None,
) -> None:
    """Add a server to your own file.

    `--` before the command keeps its options apart from those of `qwen3 mcp add`.

    \b
    qwen3 mcp add git -- mcp-server-git --repository .
    qwen3 mcp add docs --header 'Authorization: Bearer ${TOKEN}' https://example.org/mcp
    """
    session: Session = context.obj
    from qwen3cli.cli.edited import add_server

    add_server(session, name, words, env or [], headers or [], transport)


@app.command("remove")
def remove(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", help="A server.")]
) -> None:
    """Take a server out of your own file."""
    session: Session = context.obj
    from qwen3cli.cli.edited import remove_server

    remove_server(session, name)


@app.command("check")
def check(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these servers.")
    ] = None,
    extra: Extra = None,
    as_json: Json = False,
) -> None:
    """Start the servers and show what they offer."""
    session: Session = context.obj
    session.as_json = as_json
    from qwen3cli.cli.checked import check_servers

    check_servers(session, names or [], extra)
