from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from qwen3cli.config import HookSettings
from qwen3cli.errors import Interrupted
from qwen3cli.tools import commands
from qwen3cli.tools.hooks import HookedCall, Hooks

CALL = HookedCall("git", "push", {"to": "x"})
BACK = HookedCall("git", "push", {"to": "x"}, "done \u20ac", False)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys, json, os, time\n{code}")


def before(code: str, match: str = "*", timeout_s: float = 10.0) -> HookSettings:
    return HookSettings("before", match, python(code), timeout_s)


def after(code: str, match: str = "*", timeout_s: float = 10.0) -> HookSettings:
    return HookSettings("after", match, python(code), timeout_s)


def never() -> threading.Event:
    return threading.Event()


def test_a_hook_gets_the_call_on_its_stdin(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    keep = f"open({str(saved)!r}, 'w').write(sys.stdin.read())"
    assert Hooks([before(keep)]).before(CALL, never()).blocked == ""
    asked = json.loads(saved.read_text())
    assert asked == {"event": "before", "server": "git", "tool": "push", "arguments": {"to": "x"}}
    Hooks([after(keep)]).after(BACK, never())
    assert json.loads(saved.read_text())["result"] == {"content": "done \u20ac", "is_error": False}


def test_only_hooks_that_match_run_and_they_run_in_order() -> None:
    add = (
        "call = json.load(sys.stdin)\nprint(json.dumps({'arguments': {'to': call['arguments']['to'] + %r}}))"
    )
    hooks = Hooks(
        [
            before(add % "1", "git.*"),
            before(add % "2", "*.push"),
            before("sys.exit(2)", "time.*"),
            after("sys.exit(2)"),
        ]
    )
    done = hooks.before(CALL, never())
    assert done.call.arguments == {"to": "x12"}
    assert done.blocked == ""


def test_a_hook_may_give_the_whole_call_back_edited() -> None:
    edit = "call = json.load(sys.stdin)\ncall['arguments']['to'] = 'y'\nprint(json.dumps(call))"
    assert Hooks([before(edit)]).before(CALL, never()).call.arguments == {"to": "y"}


def test_exit_2_blocks_with_its_reason() -> None:
    done = Hooks([before("print('no pushing', file=sys.stderr); sys.exit(2)")]).before(CALL, never())
    assert "no pushing" in done.blocked
    done = Hooks([after("print('secret', file=sys.stderr); sys.exit(2)")]).after(BACK, never())
    assert done.blocked.endswith("withheld the result of this call: secret")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit(1)", "ended with status 1"),
        ("print('why', file=sys.stderr); sys.exit(3)", "status 3: why"),
        ("os.kill(os.getpid(), 9)", "status 137"),
        ("print('garbage')", "no JSON"),
        ("print('[' * 100000)", "no JSON"),
        ("print('[1]')", "no object"),
        ('print(\'{"arguments": {"a": NaN}, "result": "x"}\')', "no JSON"),
        ('print(\'{"arguments": {"a": 1e999}, "result": "x"}\')', "no JSON"),
        ('print(\'{"arguments": {"a": "\\\\ud800"}, "result": "x"}\')', "no JSON"),
        ("print('{\"argument\": {}}')", "`argument`, which means nothing"),
        ('print(\'{"arguments": 1, "result": 1}\')', "none|no object"),
        ("sys.stdout.buffer.write(b'\\xff{}')", "no JSON"),
    ],
)
def test_a_hook_that_fails_blocks_before_and_is_a_notice_after(code: str, said: str) -> None:
    done = Hooks([before(code)]).before(CALL, never())
    assert done.blocked and "failed" in done.by
    (notice,) = done.notices
    assert "`git.push` was not called" in notice
    done = Hooks([after(code), after('print(\'{"result": "changed"}\')')]).after(BACK, never())
    assert (done.blocked, done.call.content) == ("", "changed")
    (notice,) = done.notices
    assert "stands" in notice
    assert re.search(said, notice)


@pytest.mark.parametrize("command", [("no-such-program-here",), ("/",), ("~/no-such-program",)])
def test_a_hook_that_cannot_be_run_blocks(command: tuple[str, ...]) -> None:
    done = Hooks([HookSettings("before", "*", command)]).before(CALL, never())
    assert "cannot be run" in done.notices[0]
    assert done.blocked


def test_a_hook_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import subprocess\np = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pid)!r}, 'w').write(str(p.pid))\np.wait()"
    )
    done = Hooks([before(code, timeout_s=1.0)]).before(CALL, never())
    assert "took longer than 1 seconds" in done.notices[0]
    assert is_gone(int(pid.read_text()))


def test_a_hook_is_ended_when_the_person_stops_it(tmp_path: Path) -> None:
    started, stop = tmp_path / "started", threading.Event()
    code = f"open({str(started)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"

    def stop_it() -> None:
        while not started.exists() or not started.read_text():
            time.sleep(0.01)
        stop.set()

    threading.Thread(target=stop_it, daemon=True).start()
    with pytest.raises(Interrupted):
        Hooks([before(code, timeout_s=30)]).before(CALL, stop)
    assert is_gone(int(started.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="who left the process group can only be found on Linux")
def test_a_hook_and_its_children_do_not_outlive_us(tmp_path: Path) -> None:
    note = tmp_path / "note"
    hook = (
        "import subprocess\np = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{p.pid}}\\n')\ntime.sleep(60)"
    )
    owner = (
        "import threading\nfrom qwen3cli.tools.hooks import Hooks\n"
        "from tests.tools.test_hooks import CALL, before\n"
        f"Hooks([before({hook!r}, timeout_s=60)]).before(CALL, threading.Event())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", owner], cwd=Path(__file__).parents[2])
    while not (note.exists() and note.read_text().endswith("\n")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert all(is_gone(int(word)) for word in note.read_text().split())


def test_output_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_OUTPUT", 1 << 20)
    flood = "while True: sys.stdout.write('x' * 65536)"
    assert "wrote more than 1 MB" in Hooks([before(flood)]).before(CALL, never()).notices[0]


def test_large_calls_go_through_a_hook_that_reads_late_or_not_at_all() -> None:
    large = HookedCall("a", "b", {"text": "x" * 3_000_000})
    echo = "time.sleep(0.2)\ncall = json.load(sys.stdin)\nprint(json.dumps({'arguments': call['arguments']}))"
    assert Hooks([before(echo), before("pass")]).before(large, never()).call == large


def test_what_a_hook_leaves_behind_does_not_hold_the_call() -> None:
    code = "import subprocess\nsubprocess.Popen(['sleep', '5'])\nprint('{\"arguments\": {}}')"
    assert Hooks([before(code, timeout_s=4)]).before(CALL, never()).call.arguments == {}


def test_no_shell_reads_the_command_but_a_tilde_is_the_persons_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    target = tmp_path / "made by a shell"
    words = (f"; touch {shlex.quote(str(target))}", "$(id)", "~/x", "~", "a~", "~root")
    hook = HookSettings("before", "*", (*python("sys.exit(repr(sys.argv[1:]))"), *words))
    (notice,) = Hooks([hook]).before(CALL, never()).notices
    assert repr([*words[:2], f"{tmp_path}/x", str(tmp_path), "a~", "~root"])[:200] in notice
    assert not target.exists()


def is_gone(pid: int) -> bool:
    """Whether the process ends; a killed one may need a moment, and somebody to collect it."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                return True
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False
