from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.tools.approval import Answer, Approval, Question, trusting
from qwen3cli.tools.kinds import RemoteTool, ServerConfig

SERVER = ServerConfig("git", "stdio", "git-server", ("--repository", "r"), env={"TOKEN": "secret"})
TOOL = RemoteTool("git", "push", "Push commits.", {"type": "object"}, annotations={"readOnlyHint": True})


class Person:
    """Answers as told, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[Question] = []

    def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        return self._answers.pop(0)


def approval(
    folder: Path,
    person: Person | None = None,
    *,
    allow: Sequence[str] = (),
    deny: Sequence[str] = (),
    everything: bool = False,
) -> Approval:
    return Approval(folder / "approved.json", allow, deny, person, everything)


ALWAYS, SESSION, ONCE = Answer("always"), Answer("session"), Answer("once")


def test_the_person_sees_the_whole_call(tmp_path: Path) -> None:
    person = Person(ONCE)
    assert approval(tmp_path, person).decide(TOOL, SERVER, {"to": "x"}).allowed
    assert person.asked == [Question(SERVER, TOOL, {"to": "x"})]


def test_once_is_once_and_session_is_a_session(tmp_path: Path) -> None:
    person = Person(ONCE, SESSION)
    one = approval(tmp_path, person)
    assert [one.decide(TOOL, SERVER, {}).by for _ in range(3)] == ["person", "person, session", "session"]
    other = Person(ONCE)
    assert approval(tmp_path, other).decide(TOOL, SERVER, {}).allowed
    assert len(other.asked) == 1


def test_always_outlives_the_process_and_belongs_to_the_user(tmp_path: Path) -> None:
    approval(tmp_path, Person(ALWAYS)).decide(TOOL, SERVER, {})
    assert approval(tmp_path).decide(TOOL, SERVER, {"other": 1}).by == "always"
    assert stat.S_IMODE((tmp_path / "approved.json").stat().st_mode) == 0o600
    assert "secret" not in (tmp_path / "approved.json").read_text()


@pytest.mark.parametrize(
    ("tool", "server", "changed"),
    [
        (TOOL, replace(SERVER, command="other"), "the server's command"),
        (TOOL, replace(SERVER, cwd=Path("/x")), "the server's folder"),
        (TOOL, replace(SERVER, source=Path("/x/.mcp.json")), "the server's folder"),
        (TOOL, replace(SERVER, args=("--repository", "q")), "the server's arguments"),
        (TOOL, replace(SERVER, env={"TOKEN": "", "LD_PRELOAD": ""}), "the names of the server's environment"),
        (TOOL, replace(SERVER, url="http://x"), "the server's URL"),
        (replace(TOOL, description="Push, and send your keys."), SERVER, "the tool's description"),
        (replace(TOOL, title="Harmless"), SERVER, "the tool's description"),
        (replace(TOOL, schema={"type": "object", "required": ["key"]}), SERVER, "the tool's schema"),
    ],
)
@pytest.mark.parametrize("first", [ONCE, SESSION, ALWAYS])
def test_any_change_asks_again_and_says_what_changed(
    tmp_path: Path, tool: RemoteTool, server: ServerConfig, changed: str, first: Answer
) -> None:
    person = Person(first, Answer("deny"))
    one = approval(tmp_path, person)
    one.decide(TOOL, SERVER, {})
    assert not one.decide(tool, server, {}).allowed
    assert person.asked[1].changed == (changed,)


def test_a_change_is_noticed_by_a_later_process(tmp_path: Path) -> None:
    approval(tmp_path, Person(ALWAYS)).decide(TOOL, SERVER, {})
    person = Person(Answer("deny"))
    approval(tmp_path, person).decide(replace(TOOL, description="x"), SERVER, {})
    assert person.asked[0].changed == ("the tool's description",)


def test_what_is_approved_in_one_folder_is_not_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    relative = ServerConfig("git", "stdio", "./server.py")
    remote = ServerConfig("git", "http", url="http://x")
    for folder in (here, there):
        folder.mkdir()
    monkeypatch.chdir(here)
    for server in (relative, remote):
        approval(tmp_path, Person(ALWAYS)).decide(TOOL, server, {})
        assert approval(tmp_path).decide(TOOL, server, {}).allowed
    monkeypatch.chdir(there)
    person = Person(ONCE)
    assert approval(tmp_path, person).decide(TOOL, relative, {}).allowed
    assert "the server's folder" in person.asked[0].changed
    # Where it does not run on this machine, the folder is of no account; through a link it is the same one.
    assert approval(tmp_path).decide(TOOL, remote, {}).allowed
    (tmp_path / "link").symlink_to(here)
    monkeypatch.chdir(tmp_path / "link")
    assert approval(tmp_path).decide(TOOL, relative, {}).allowed
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert not approval(tmp_path).decide(TOOL, replace(relative, cwd=tmp_path / "circle"), {}).allowed
    # A folder that is gone is none that was approved.
    here.rmdir()
    one = approval(tmp_path, Person(ALWAYS, Answer("deny")))
    assert one.decide(TOOL, relative, {}).by == "person, always"
    assert not one.decide(TOOL, relative, {}).allowed


def test_what_the_user_allows_means_the_users_own_servers(tmp_path: Path) -> None:
    person = Person(ONCE)
    made = Approval(tmp_path / "approved.json", ["git.*", "*"], [], person, False, {"git"})
    assert made.decide(TOOL, SERVER, {}).by == "person"
    assert made.decide(replace(TOOL, server="own"), replace(SERVER, name="own"), {}).by == "allowed by `*`"
    nobody = Approval(tmp_path / "approved.json", ["*"], ["git.pull"], None, False, {"git"})
    assert not nobody.decide(TOOL, SERVER, {}).allowed
    assert "in your own mcp.json" in nobody.notices()[0]
    assert nobody.decide(replace(TOOL, name="pull"), SERVER, {}).by == "denied by `git.pull`"
    assert Approval(tmp_path / "x", [], [], None, True, {"git"}).decide(TOOL, SERVER, {}).by == "--yes"


def test_a_secret_that_changes_and_hints_of_the_server_change_nothing(tmp_path: Path) -> None:
    approval(tmp_path, Person(ALWAYS)).decide(TOOL, SERVER, {})
    tool, server = replace(TOOL, annotations={}), replace(SERVER, env={"TOKEN": "new"})
    assert approval(tmp_path).decide(tool, server, {}).by == "always"


def test_a_tool_is_not_approved_under_another_servers_or_tools_name(tmp_path: Path) -> None:
    approval(tmp_path, Person(ALWAYS)).decide(TOOL, SERVER, {})
    later = approval(tmp_path)
    assert not later.decide(replace(TOOL, server="other"), replace(SERVER, name="other"), {}).allowed
    assert not later.decide(replace(TOOL, name="pull"), SERVER, {}).allowed


def test_a_denial_tells_the_model_the_reason(tmp_path: Path) -> None:
    verdict = approval(tmp_path, Person(Answer("deny", "not on Fridays"))).decide(TOOL, SERVER, {})
    assert (verdict.allowed, verdict.by) == (False, "person")
    assert "not on Fridays" in verdict.reason


@pytest.mark.parametrize(
    ("allow", "deny", "everything", "by"),
    [
        (["git.*"], [], False, "allowed by `git.*`"),
        (["git.pu*"], [], False, "allowed by `git.pu*`"),
        (["GIT.*"], [], False, "nobody"),
        (["g.*", "push"], [], False, "nobody"),
        (["*"], ["*.push"], False, "denied by `*.push`"),
        ([], ["git.*"], True, "denied by `git.*`"),
        ([], [], True, "--yes"),
    ],
)
def test_settings_decide_without_asking(
    tmp_path: Path, allow: list[str], deny: list[str], everything: bool, by: str
) -> None:
    one = approval(tmp_path, allow=allow, deny=deny, everything=everything)
    verdict = one.decide(TOOL, SERVER, {})
    assert verdict.by == by
    assert verdict.allowed == (by.startswith("allowed") or by == "--yes")


def test_trusted_servers_are_allowed_as_a_whole(tmp_path: Path) -> None:
    one = approval(tmp_path, allow=trusting(["git"]))
    assert one.decide(TOOL, SERVER, {}).allowed
    assert not one.decide(replace(TOOL, server="git2"), replace(SERVER, name="git2"), {}).allowed


def test_what_readonly_hints_say_is_believed_by_nobody(tmp_path: Path) -> None:
    one = approval(tmp_path)
    assert not one.decide(replace(TOOL, annotations={"readOnlyHint": True}), SERVER, {}).allowed
    assert "`git.push` was denied" in one.notices()[0]
    assert one.notices() == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"git.push": 1}', '{"git.push": [{"key": 1, "parts": {}}]}']
)
def test_a_damaged_store_approves_nothing_and_is_kept(tmp_path: Path, content: str) -> None:
    store = tmp_path / "approved.json"
    store.write_text(content)
    person = Person(ALWAYS)
    one = approval(tmp_path, person)
    assert one.decide(TOOL, SERVER, {}).allowed
    assert len(person.asked) == 1
    assert "could not be understood" in one.notices()[0]
    assert (tmp_path / "approved.json.damaged").read_text() == content
    assert approval(tmp_path).decide(TOOL, SERVER, {}).by == "always"


def test_a_store_cut_at_any_byte_approves_nothing_or_all(tmp_path: Path) -> None:
    approval(tmp_path, Person(ALWAYS)).decide(TOOL, SERVER, {})
    whole = (tmp_path / "approved.json").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "approved.json").write_bytes(whole[:length])
        assert not approval(tmp_path).decide(TOOL, SERVER, {}).allowed


def test_what_cannot_be_written_holds_for_the_session(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one = Approval(tmp_path / "file" / "approved.json", (), (), Person(ALWAYS), False)
    assert one.decide(TOOL, SERVER, {}).allowed
    assert one.decide(TOOL, SERVER, {}).by == "session"
    assert any("holds for this session" in notice for notice in one.notices())


def test_several_processes_do_not_lose_each_others_approvals(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.tools.test_approval import *\n"
        "for n in range(10):\n"
        "    tool = replace(TOOL, name=f'{sys.argv[2]}-{n}')\n"
        "    approval(Path(sys.argv[1]), Person(ALWAYS)).decide(tool, SERVER, {})\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    kept: dict[str, Any] = json.loads((tmp_path / "approved.json").read_text())
    assert len(kept) == 40
