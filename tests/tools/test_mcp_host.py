"""A host with a real server that does what it should."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import Interrupted, ToolsFailed
from qwen3cli.tools.kinds import DataBlock, ServerConfig, TextBlock
from qwen3cli.tools.mcp_host import McpHost
from tests.tools.hosts import call, eventually, friendly, hosting, only, text_of


def test_tools_are_offered_and_called(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        status = only(host)
        assert (status.state, status.protocol, status.tools) == ("ready", "2026-07-28", 11)
        add = next(tool for tool in host.tools() if tool.name == "add")
        assert add.label == "friendly.add"
        assert add.description == "Add two numbers."
        assert set(add.schema["properties"]) == {"a", "b"}
        result = call(host, "friendly", "add", a=1, b=2)
        assert (text_of(result), result.is_error, result.structured) == ("3", False, {"result": 3})
        assert call(host, "friendly", "picture").blocks == (DataBlock("image/png", b"\x89PNG"),)
        assert host.news() == []


def test_what_a_tool_says_of_its_failure_is_a_result(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        assert call(host, "friendly", "fail", why="because").is_error
        assert call(host, "friendly", "nowhere").is_error
        assert "valid integer" in text_of(call(host, "friendly", "add", a="x", b=1))


def test_nothing_is_started_before_it_is_asked_for(tmp_path: Path) -> None:
    host = McpHost([friendly()], tmp_path)
    assert only(host).state == "stopped"
    assert (host.tools(), host.prompts(), host.resources(), host.news()) == ([], [], [], [])
    host.wait()
    host.close()
    assert list(tmp_path.iterdir()) == []


def test_a_call_starts_its_server(tmp_path: Path) -> None:
    host = McpHost([friendly()], tmp_path)
    try:
        assert text_of(call(host, "friendly", "add", a=2, b=2)) == "4"
    finally:
        host.close()


def test_servers_start_side_by_side(tmp_path: Path) -> None:
    """Each waits for the others: one after the other they would never be ready."""
    code = (
        "import pathlib, sys, time, runpy\n"
        "folder, mine = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
        "(folder / mine).touch()\n"
        "while len(list(folder.iterdir())) < 3: time.sleep(0.01)\n"
        "sys.argv = ['', 'stdio']\n"
        f"runpy.run_path({friendly().args[0]!r}, run_name='__main__')\n"
    )
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    servers = [ServerConfig(n, "stdio", sys.executable, ("-c", code, str(meeting), n)) for n in "abc"]
    with hosting(tmp_path, *servers) as host:
        assert [status.state for status in host.status()] == ["ready"] * 3


def test_globs_choose_the_tools(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly(include=("a*", "fail"), exclude=("ask",))) as host:
        assert [tool.name for tool in host.tools()] == ["add", "fail"]


def test_progress_is_heard(tmp_path: Path) -> None:
    heard: list[str] = []
    with hosting(tmp_path, friendly()) as host:
        assert text_of(call(host, "friendly", "count", heard.append, upto=3)) == "counted"
        assert eventually(lambda: len(heard) == 3)
    assert heard == ["1/3 number 1", "2/3 number 2", "3/3 number 3"]


def test_calls_run_side_by_side(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=30)

    def meet(text: str) -> None:
        # On the loop's thread, so that it must not block: both calls have to be there already.
        reached.append(text)

    reached: list[str] = []
    with hosting(tmp_path, friendly()) as host:

        def one(name: str) -> None:
            together.wait()
            call(host, "friendly", "count", lambda text: meet(name), upto=50)

        threads = [threading.Thread(target=one, args=[name]) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    first_end = len(reached) - 1 - reached[::-1].index("b" if reached[-1] == "a" else "a")
    assert {"a", "b"} == set(reached[:first_end])


def test_a_cancelled_call_is_cancelled_at_the_server(tmp_path: Path) -> None:
    note, cancelled = tmp_path / "note", threading.Event()
    with hosting(tmp_path, friendly()) as host:
        with pytest.raises(Interrupted):
            call(
                host, "friendly", "count", lambda _: cancelled.set(), cancelled, upto=100_000, note=str(note)
            )
        assert eventually(note.exists)
        # The server and the connection live on.
        assert text_of(call(host, "friendly", "add", a=1, b=1)) == "2"
    assert note.read_text() == "cancelled"


def test_a_server_that_died_is_started_again(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        with pytest.raises(ToolsFailed, match=r"ended with status 7 while `friendly\.die` was running"):
            call(host, "friendly", "die")
        assert text_of(call(host, "friendly", "add", a=1, b=3)) == "4"
        assert host.news() == []


def test_a_death_between_calls_is_news_and_mended(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        pid = call(host, "friendly", "process").structured["result"]
        os.kill(pid, 9)
        assert eventually(lambda: only(host).state == "stopped")
        assert host.news() == [
            "the server `friendly` was ended by SIGKILL; it is started again when one of its tools is called"
        ]
        assert "add" in [tool.name for tool in host.tools()]
        assert text_of(call(host, "friendly", "add", a=1, b=3)) == "4"


def test_a_server_can_be_reconnected(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        before = call(host, "friendly", "process").structured["result"]
        host.reconnect("friendly")
        assert only(host).state == "ready"
        assert call(host, "friendly", "process").structured["result"] != before
        assert host.news() == []
        with pytest.raises(ToolsFailed, match="no server `nobody`"):
            host.reconnect("nobody")


def test_new_tools_are_news(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        call(host, "friendly", "grow", name="late")
        assert eventually(lambda: "late" in [tool.name for tool in host.tools()])
        assert host.news() == ["the server `friendly` has changed its tools: new `late`"]


def test_prompts_and_resources(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        (prompt,) = host.prompts()
        assert (prompt.server, prompt.name, prompt.description) == ("friendly", "greeting", "Greet somebody.")
        assert [(one.name, one.required) for one in prompt.arguments] == [("name", True)]
        assert host.prompt("friendly", "greeting", {"name": "Bo"}) == [("user", "Hello Bo")]
        (resource,) = host.resources()
        assert (resource.uri, resource.name, resource.mime) == ("note://one", "one", "text/plain")
        assert host.read("friendly", "note://one").blocks == (TextBlock("the first note"),)
        with pytest.raises(ToolsFailed, match="note://two"):
            host.read("friendly", "note://two")


@pytest.mark.parametrize(("answer", "said"), [({"colour": "red"}, "accept red"), (None, "decline None")])
def test_a_server_may_ask_the_person(tmp_path: Path, answer: Mapping[str, Any] | None, said: str) -> None:
    asked: list[tuple[str, str, list[str], str]] = []

    def elicit(
        server: str, message: str, schema: Mapping[str, Any], _: threading.Event
    ) -> Mapping[str, Any] | None:
        asked.append((server, message, list(schema["properties"]), threading.current_thread().name))
        return answer

    with hosting(tmp_path, friendly(), elicit=elicit) as host:
        assert text_of(call(host, "friendly", "ask")) == said
    ((server, message, fields, thread),) = asked
    assert (server, message, fields) == ("friendly", "Which colour?", ["colour"])
    assert thread != "mcp"


def test_without_a_person_nobody_is_asked(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host:
        assert call(host, "friendly", "ask").is_error


def test_a_server_sees_no_more_than_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    with hosting(tmp_path, friendly(env={"CITY": "Oslo"}, cwd=tmp_path)) as host:
        seen = call(host, "friendly", "environment").structured
    assert "HF_TOKEN" not in seen
    assert (seen["CITY"], seen["PATH"]) == ("Oslo", os.environ["PATH"])


def test_the_log_is_private(tmp_path: Path) -> None:
    with hosting(tmp_path, friendly()) as host, pytest.raises(ToolsFailed):
        call(host, "friendly", "die")
    log = tmp_path / "logs" / "friendly.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "I am going down" in log.read_text()


def test_a_wait_ends_when_told(tmp_path: Path) -> None:
    host = McpHost([ServerConfig("sleepy", "stdio", "sleep", ("600",))], tmp_path)
    stop = threading.Event()
    stop.set()
    try:
        host.start()
        host.wait(600, stop)
        assert only(host).state == "starting"
    finally:
        host.close()
    assert only(host).state == "failed"
