"""Several processes that want one file, and a person who stops one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import NetworkError
from qwen3cli.models.download import RemoteFile, bytes_there
from qwen3cli.models.partial import CHUNK
from tests.hubs.faults import held, refuse, slow, stall
from tests.hubs.serving import Request, Response
from tests.models.fetching import HASTE, LARGE, SMALL, Shop, Watcher, counted, fetch, lying, some_bytes

# Fetches a file; tells what it was told. Without Python's own handling of Ctrl-C there would be nothing to test.
FETCH = """
import json, signal, sys
from pathlib import Path
from qwen3cli.models.download import RemoteFile, download
from qwen3cli.models.hitches import Patience
from qwen3cli.models.http import Http

signal.signal(signal.SIGINT, signal.default_int_handler)
name, url, size, sha256, folder = sys.argv[1:]

class Watch:
    def moved(self, done, total):
        print(json.dumps([done, total]), flush=True)
    def said(self, text):
        print(json.dumps(text), flush=True)

with Http(Patience(silence_s=600)) as http:
    print(json.dumps(str(download(http, RemoteFile(name, url, int(size), sha256), Path(folder), Watch()))))
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and SIGINT")


@pytest.fixture
def shop() -> Generator[Shop]:
    with Shop(1 << 14) as server:
        yield server


def begin(file: RemoteFile, folder: Path) -> subprocess.Popen[str]:
    arguments = [file.name, file.url, str(file.size), str(file.sha256), str(folder)]
    # Errors of the process end up on the screen of the tests.
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, *arguments],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=dict(os.environ),
    )


def told(process: subprocess.Popen[str]) -> list[Any]:
    """What it printed until its end."""
    assert process.stdout
    with process.stdout:
        lines = [json.loads(line) for line in process.stdout]
    process.wait(120)
    return lines


def speaking(crowd: list[subprocess.Popen[str]]) -> list[Any]:
    """Where something can be read."""
    return select.select([process.stdout for process in crowd if process.stdout], [], [], 0)[0]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_of_eight_processes_one_transfers(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(LARGE)
    file = shop.put("/m.gguf", data)
    shop.inject(slow(8 << 20))
    with held(shop):
        crowd = [begin(file, tmp_path) for _ in range(8)]
        until(lambda: len(speaking(crowd)) >= 7)
    lines = [told(process) for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 8
    assert shop.sent() == LARGE
    assert lying(tmp_path) == ["whole"]
    assert {str(one[-1]) for one in lines} == {str(next(tmp_path.iterdir()))}
    waiting = [one for one in lines if "waiting for it" in json.dumps(one)]
    assert len(waiting) >= 6
    # Those who wait see how far it is, and what they have in the end.
    for one in waiting:
        assert one[0] == "another process is downloading `m.gguf`: waiting for it"
        assert one[-2] == [LARGE, LARGE]
    assert {0, LARGE} < {done for one in waiting for done, _ in one[1:-1]}


def test_one_who_waits_takes_over_from_the_dead(shop: Shop, tmp_path: Path) -> None:
    data = some_bytes(LARGE)
    file = shop.put("/m.gguf", data)
    shop.inject(slow(4 << 20))
    first = begin(file, tmp_path)
    until(lambda: bytes_there(file, tmp_path) >= 4 * CHUNK)
    second = begin(file, tmp_path)
    assert second.stdout
    assert "waiting for it" in second.stdout.readline()
    shop.heal()
    first.kill()
    told(first)
    there = bytes_there(file, tmp_path)
    with counted(shop):
        lines = told(second)
    assert second.returncode == 0
    assert str(lines[-1]).endswith(".whole")
    assert there >= 4 * CHUNK
    assert shop.sent() <= LARGE + 4 * (CHUNK + (256 << 10))
    assert lying(tmp_path) == ["whole"]
    assert next(tmp_path.iterdir()).read_bytes() == data


@pytest.mark.parametrize("how", ["no byte", "some bytes", "no answer"])
def test_a_person_can_stop_it_while_nothing_comes(shop: Shop, tmp_path: Path, how: str) -> None:
    """The silence that is tolerated is longer than the test."""
    data = some_bytes(LARGE)
    file = shop.put("/m.gguf", data)

    requests: list[Request] = []

    def say_nothing(request: Request) -> Response:
        requests.append(request)
        if len(requests) > 1:
            shop.stopped.wait()
        return shop.shelf(request)

    if how == "no answer":
        shop.app = say_nothing
    else:
        shop.inject(stall(0 if how == "no byte" else CHUNK * 3 // 2))
    process = begin(file, tmp_path)
    until(lambda: bytes_there(file, tmp_path) >= CHUNK or how == "no byte")
    until(lambda: max(len(shop.asked()), len(requests)) >= 4)
    process.send_signal(signal.SIGINT)
    process.wait(60)
    told(process)
    assert process.returncode in (-signal.SIGINT, 130, 1)
    shop.heal()
    shop.app = shop.shelf
    there = bytes_there(file, tmp_path)
    assert bool(there) == (how != "no byte")
    with counted(shop) as sent:
        assert fetch(file, tmp_path) == data
    assert sent == [LARGE - there]
    assert lying(tmp_path) == ["whole"]


@pytest.mark.parametrize("refusals", [3, 4])
def test_a_server_that_wants_fewer_connections(shop: Shop, tmp_path: Path, refusals: int) -> None:
    file = shop.put("/m.gguf", some_bytes(LARGE))
    shop.inject(refuse(503), skip=1, times=refusals)
    watch = Watcher()
    one_try = replace(HASTE, tries=1)
    if refusals < 4:
        assert fetch(file, tmp_path, watch, patience=one_try) == some_bytes(LARGE)
        assert [text[-30:] for text in watch.says] == [
            f"going on with {n} of the connections"[-30:] for n in (3, 2, 1)
        ]
    else:
        with pytest.raises(NetworkError, match="answers 503"):
            fetch(file, tmp_path, watch, patience=one_try)


def test_what_is_fetched_can_be_watched_from_outside(shop: Shop, tmp_path: Path) -> None:
    file = shop.put("/m.gguf", some_bytes(SMALL))
    shop.inject(slow(1 << 20))
    process = begin(file, tmp_path)
    seen = set[int]()
    while process.poll() is None:
        seen.add(bytes_there(file, tmp_path))
        time.sleep(0.01)
    told(process)
    assert seen >= {0, CHUNK, 2 * CHUNK}
    assert bytes_there(file, tmp_path) == SMALL
