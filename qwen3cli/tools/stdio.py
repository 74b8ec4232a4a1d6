"""A server as a child process: started under the watchdog, its lines read, its stderr logged, its end certain.

A transport for the SDK, whose own reads lines in quadratic time and lets the server outlive us. Only the few variables
that the SDK's own passes on reach the server, with those of mcp.json. Knows nothing of tools.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qwen3cli.tools import watchdog
from qwen3cli.tools.failures import NoUse, Trouble
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.lines import LIMIT, Lines, TooLong, answered
from qwen3cli.tools.server_log import ServerLog

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams
    from mcp.shared.message import SessionMessage

_BLOCK: Final = 1 << 16
_OBITUARY_S: Final = 1.5
"""How long a server that closed its stdout is waited for, to say how it ended."""
_KILL_S: Final = 2.5
"""How long the watchdog may take to end a server; it gives it one second."""
_LOCALE: Final = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_JUNK: Final = 200
"""Characters of a line that is no message which go to the log."""
_JUNK_LINES: Final = 20
"""Such lines of one block which go to the log: a flood of them is not worth the disk's time."""


class Server:
    """A running process and its pipes."""

    def __init__(
        self, process: asyncio.subprocess.Process, leash: int, log: ServerLog, exit_s: float
    ) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr
        self._process = process
        self._leash: int | None = leash
        self._log = log
        self._exit_s = exit_s
        self._ending = False

    async def read(self, inbox: MemoryObjectSendStream[SessionMessage | Exception], trouble: Trouble) -> None:
        """Hand on what the server says, to the end of its stdout; then say in `trouble` how it ended."""
        import anyio

        lines = Lines()
        async with inbox:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
                while block := await self.stdout.read(_BLOCK):
                    junk: list[str] = []
                    for line in lines.feed(block):
                        message = message_of(line)
                        if isinstance(message, str):
                            junk.append(message)
                        elif message is not None:
                            await inbox.send(message)
                    self._note(junk)
                if not self._ending and not trouble.ended:
                    trouble.ended = await self._obituary()

    def _note(self, junk: list[str]) -> None:
        for line in junk[:_JUNK_LINES]:
            self._log.note(f"not a message on stdout: {line}")
        if len(junk) > _JUNK_LINES:
            self._log.note(f"{len(junk) - _JUNK_LINES:,} more such lines")

    async def write(self, outbox: MemoryObjectReceiveStream[SessionMessage], trouble: Trouble) -> None:
        """Hand the server what is to be said; one that lives on and hears nothing any more is ended."""
        try:
            async with outbox:
                async for message in outbox:
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    self.stdin.write(text.encode() + b"\n")
                    await self.stdin.drain()
        except OSError:
            # One that has died is noticed where its lines are read.
            if not self._ending and not await self._ended_within(_OBITUARY_S):
                trouble.ended = "closed its input"
                self.let_go()

    async def keep_log(self) -> None:
        """Write the server's stderr to its log."""
        while block := await self.stderr.read(_BLOCK):
            self._log.write(block)

    async def _obituary(self) -> str:
        await self._ended_within(_OBITUARY_S)
        code = self._process.returncode
        if code is None:
            return "closed its output"
        if code > watchdog.BY_SIGNAL:
            number = code - watchdog.BY_SIGNAL
            known = number in signal.valid_signals()
            return f"was ended by {signal.Signals(number).name if known else f'signal {number}'}"
        return f"ended with status {code}"

    async def end(self) -> None:
        """End the server and all that it started: first asked, then told, then killed."""
        self._ending = True
        with suppress(OSError):
            self.stdin.close()
        try:
            if not await self._ended_within(self._exit_s):
                self.let_go()
                if not await self._ended_within(_KILL_S):
                    with suppress(ProcessLookupError):
                        self._process.kill()
        finally:
            self.let_go()
        # Who escaped the watchdog may hold a pipe, which nothing public closes.
        transport = self._process._transport  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue, reportUnknownVariableType]
        transport.close()

    def let_go(self) -> None:
        """Tell the watchdog to end the server; what happens anyway when this process is gone."""
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None

    async def _ended_within(self, seconds: float) -> bool:
        # Not `Process.wait`, which also waits for the pipes that a survivor might hold.
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._process.returncode is None:
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(0.01)
        return True


@asynccontextmanager
async def stdio_streams(
    config: ServerConfig, log: ServerLog, trouble: Trouble, exit_s: float
) -> AsyncGenerator[TransportStreams]:
    """Run the server for as long as the block lasts; it has `exit_s` to end by itself."""
    import anyio

    server = await launch(config, log, exit_s)
    inbox, read_stream = anyio.create_memory_object_stream["SessionMessage | Exception"](0)
    write_stream, outbox = anyio.create_memory_object_stream["SessionMessage"](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.read, inbox, trouble)
        tasks.start_soon(server.write, outbox, trouble)
        tasks.start_soon(server.keep_log)
        try:
            yield read_stream, write_stream
        finally:
            with anyio.CancelScope(shield=True):
                for stream in (read_stream, write_stream):
                    await stream.aclose()
                await _to_its_end(server.end())
            tasks.cancel_scope.cancel()
    for stream in (inbox, outbox):
        await stream.aclose()


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for `work` also where the waiting task is cancelled meanwhile, which no shield of anyio keeps off."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def launch(config: ServerConfig, log: ServerLog, exit_s: float) -> Server:
    """Start the process; raises `NoUse` if there is no such command or folder."""
    environ = environment(config)
    folder = config.cwd or Path.cwd()
    if not folder.is_dir():
        raise NoUse(f"the folder `{folder}` of the server `{config.name}` is not there")
    if not is_there(config.command, folder, environ.get("PATH")):
        raise NoUse(
            f"the command `{config.command}` of the server `{config.name}` is not found",
            f"install it, or correct `{config.source}`",
        )
    watched, leash = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", watchdog.__file__, str(watched), config.command, *config.args),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
            cwd=folder,
            pass_fds=[watched],
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(leash)
        raise NoUse(f"the server `{config.name}` cannot be started: {error}") from None
    finally:
        os.close(watched)
    return Server(process, leash, log, exit_s)


def environment(config: ServerConfig) -> dict[str, str]:
    """What the server sees: no token of ours is among it."""
    from mcp.client.stdio import get_default_environment

    locale = {name: os.environ[name] for name in _LOCALE if name in os.environ}
    return {**get_default_environment(), **locale, **config.env}


def is_there(command: str, folder: Path, path: str | None) -> bool:
    """Whether a command can be run: by its path, seen from `folder`, or by its name on PATH."""
    if os.sep in command:
        return shutil.which(folder / command) is not None
    return shutil.which(command, path=path) is not None


def message_of(line: bytes | TooLong) -> SessionMessage | str | None:
    """What a line says; what cannot be read becomes an error for whoever waits for it, or its beginning is given."""
    from mcp.shared.message import SessionMessage
    from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

    if isinstance(line, TooLong):
        reason = f"the answer has {line.size:,} bytes, and at most {LIMIT:,} are read"
    elif not line.strip():
        return None
    elif not line.lstrip().startswith(b"{"):
        # Tried first, for it costs a hundredth of what the SDK's refusal does.
        return _beginning(line)
    else:
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            reason = "the answer is not valid JSON-RPC"
    number = answered(line)
    if number is None:
        return _beginning(line.head if isinstance(line, TooLong) else line)
    return SessionMessage(
        JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=PARSE_ERROR, message=reason))
    )


def _beginning(line: bytes) -> str:
    return line[:_JUNK].decode(errors="replace").rstrip("\r")
