"""A server written with the SDK: `friendly.py stdio`, `friendly.py http PORT`, `friendly.py sse PORT`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

server = MCPServer("friendly", instructions="Be nice.")


class Answer(BaseModel):
    """What a person is asked for."""

    colour: str


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def environment() -> dict[str, str]:
    """What this process sees."""
    return dict(os.environ)


@server.tool()
def process() -> int:
    """The number of this process."""
    return os.getpid()


@server.tool()
async def count(ctx: Context, upto: int, note: str = "") -> str:
    """Count slowly, saying so; a file `note` tells what became of it."""
    try:
        for number in range(upto):
            await ctx.report_progress(number + 1, upto, f"number {number + 1}")
            await asyncio.sleep(0.02)
    except BaseException:
        Path(note).write_text("cancelled")
        raise
    return "counted"


@server.tool()
def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


@server.tool()
def die() -> str:
    """End this process."""
    print("I am going down", file=sys.stderr, flush=True)
    os._exit(7)


@server.tool()
def text(size: int) -> str:
    """A long text."""
    return "x" * size


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=b"\x89PNG", format="png")


def question() -> Elicit[Answer]:
    """What is asked, in whichever protocol."""
    return Elicit("Which colour?", Answer)


@server.tool()
def ask(answer: Annotated[ElicitationResult[Answer], Resolve(question)]) -> str:
    """Ask the person for a colour."""
    return f"{answer.action} {getattr(getattr(answer, 'data', None), 'colour', None)}"


@server.tool()
async def grow(ctx: Context, name: str) -> str:
    """Add a tool, and say that there is one more."""
    server.add_tool(lambda: name, name=name, description="A late one.")
    # The newer protocol, and the older.
    await ctx.notify_tools_changed()
    with suppress(Exception):
        await ctx.session.send_tool_list_changed()
    return "grown"


@server.tool()
def breed() -> list[int]:
    """Start processes that outlive their parents, one of them in a session of its own."""
    first = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600 & wait"], stdin=subprocess.DEVNULL)
    second = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, start_new_session=True)
    return [os.getpid(), first.pid, second.pid]


@server.prompt()
def greeting(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}"


@server.resource("note://one", name="one", description="A note.", mime_type="text/plain")
def note() -> str:
    """A note."""
    return "the first note"


if __name__ == "__main__":
    kind, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    if kind == "stdio":
        server.run()
    elif kind == "http":
        server.run("streamable-http", host="127.0.0.1", port=port)
    else:
        server.run("sse", host="127.0.0.1", port=port)
