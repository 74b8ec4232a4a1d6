"""However this process ends, no server and nothing that a server started is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from qwen3cli.errors import QwenError, ToolsFailed
from qwen3cli.tools.kinds import ServerConfig
from qwen3cli.tools.mcp_host import McpHost
from qwen3cli.tools.offers import Patience
from tests.tools.hosts import call, friendly, hostile, hosting

ROOT = Path(__file__).parents[2]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Who nobody has collected yet is dead all the same.
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def survivors(pids: Iterable[int]) -> list[int]:
    """Who is still there after five seconds, which is the promise; all of them would sleep for ten minutes."""
    deadline = time.monotonic() + 5
    left = list(pids)
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if is_running(pid)]
    return left


@pytest.fixture
def owner(tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A process with a host whose server has children that do not want to die."""
    code = (
        "import pathlib, time\n"
        "from tests.tools.hosts import call, friendly, hosting\n"
        f"with hosting(pathlib.Path({str(tmp_path)!r}), friendly()) as host:\n"
        "    print(*call(host, 'friendly', 'breed').structured['result'], flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    process.stdout.close()
    assert len(pids) == 3
    assert all(is_running(pid) for pid in pids)
    return process, pids


@pytest.mark.skipif(sys.platform != "linux", reason="who left the process group can only be found on Linux")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_us(owner: tuple[subprocess.Popen[str], list[int]], number: int) -> None:
    process, pids = owner
    process.send_signal(number)
    process.wait()
    assert survivors(pids) == []


@pytest.mark.skipif(sys.platform != "linux", reason="who left the process group can only be found on Linux")
def test_nothing_outlives_the_host(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        pids = call(host, "friendly", "breed").structured["result"]
    assert survivors(pids) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_the_server_goes_with_its_watchdog(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        server = call(host, "friendly", "process").structured["result"]
        stat = Path(f"/proc/{server}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
        assert survivors([server]) == []


def test_a_server_that_is_starting_goes_too(tmp_path: Path) -> None:
    code = "import os, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()}\\n'); time.sleep(600)"
    note = tmp_path / "note"
    host = McpHost([ServerConfig("slow", "stdio", sys.executable, ("-c", code, str(note)))], tmp_path)
    host.start()
    while not (note.exists() and note.read_text().endswith("\n")):
        time.sleep(0.02)
    host.close()
    assert survivors([int(note.read_text())]) == []


def test_a_server_that_is_being_ended_goes_too(tmp_path: Path) -> None:
    """Nothing that comes in between, here a wish for another start, keeps it alive."""
    code = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
    note = tmp_path / "note"
    server = ServerConfig("mute", "stdio", sys.executable, ("-c", code, str(note)))
    host = McpHost([server], tmp_path, patience=Patience(start_s=0.5, retry_s=0.2, exit_s=1.5))
    host.start()
    log = tmp_path / "logs" / "mute.log"
    while not log.exists():
        time.sleep(0.02)
    time.sleep(1.2)
    host.reconnect("mute")
    assert survivors([int(note.read_text().split()[0])]) == []
    host.close()
    with pytest.raises(ToolsFailed, match="the servers have been ended"):
        call(host, "mute", "fine")


def test_closing_ends_a_call(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    with hosting(tmp_path, hostile("slow")) as host:

        def run() -> None:
            try:
                call(host, "hostile", "fine")
            except QwenError as error:
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        time.sleep(0.3)
        host.close()
        thread.join(20)
    assert len(errors) == 1
