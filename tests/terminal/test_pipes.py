from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwen3cli.errors import UsageError
from qwen3cli.terminal.pipes import piped_input

PROGRAM = """
import sys
from qwen3cli.terminal.console import Console
from qwen3cli.terminal.pipes import quiet_broken_pipe
with quiet_broken_pipe():
    console = Console()
    for number in range(100000):
        {write}
    print("never", file=sys.stderr)
"""


@pytest.mark.parametrize("write", ["console.result('line\\n')", "print('line')", "sys.stdout.write('x')"])
def test_a_reader_that_goes_away_is_no_error(write: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(write=write)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    with process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_another_broken_pipe_is_an_error() -> None:
    program = """
from qwen3cli.terminal.pipes import quiet_broken_pipe
with quiet_broken_pipe():
    raise BrokenPipeError
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"BrokenPipeError" in done.stderr


def test_a_pipe_is_read_whole() -> None:
    reader, writer = os.pipe()
    os.write(writer, "\ufeff你好\n".encode())
    os.close(writer)
    with os.fdopen(reader, encoding="latin-1") as stdin:
        assert piped_input(stdin) == "你好\n"


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "prompt"
    path.write_bytes(b"a\r\nb")
    with path.open() as stdin:
        assert piped_input(stdin) == "a\r\nb"


def test_what_is_no_pipe_is_not_read() -> None:
    main, secondary = os.openpty()
    with Path(os.devnull).open() as device, os.fdopen(secondary) as terminal:
        assert piped_input(device) is None
        assert piped_input(terminal) is None
    os.close(main)
    assert piped_input(None) is None
    assert piped_input(io.StringIO("no file")) is None
    assert piped_input(terminal) is None


def test_what_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompt"
    path.write_bytes(b"good\xff")
    with path.open() as stdin, pytest.raises(UsageError, match="byte 0xff at offset 4") as caught:
        piped_input(stdin)
    assert caught.value.hint
