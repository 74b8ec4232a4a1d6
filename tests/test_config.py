from __future__ import annotations

from pathlib import Path

import pytest

from qwen3cli.config import HookSettings, SessionSettings, ToolSettings
from qwen3cli.errors import InvalidFile


def test_without_a_file_everything_is_as_it_comes(tmp_path: Path) -> None:
    assert ToolSettings.of(tmp_path / "nowhere") == ToolSettings()
    (tmp_path / "config.toml").write_text("# nothing\n")
    assert ToolSettings.of(tmp_path) == ToolSettings()


def test_everything_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        "[tools]\nallow = ['git.*']\ndeny = ['git.push']\nsearch = 'always'\n"
        "search_share = 0.2\nresult_share = 1\nrounds = 7\n"
        "[[tools.hooks]]\nwhen = 'before'\nmatch = '*'\ncommand = ['guard', '-x']\ntimeout_s = 3\n"
        "[[tools.hooks]]\nwhen = 'after'\nmatch = 'git.*'\ncommand = ['~/bin/log']\n"
    )
    assert ToolSettings.of(tmp_path) == ToolSettings(
        ("git.*",),
        ("git.push",),
        (
            HookSettings("before", "*", ("guard", "-x"), 3.0),
            HookSettings("after", "git.*", ("~/bin/log",), 10.0),
        ),
        "always",
        0.2,
        1,
        7,
    )


HOOK = "[[tools.hooks]]\nwhen = 'before'\nmatch = '*'\ncommand = ['x']\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "the key `x`"),
        ("[tools]\nalow = []", "the key `tools.alow`"),
        ("tools = 1", "`tools` in .* must be a table"),
        ("[tools]\nallow = 'git.*'", r"`tools.allow` .* list of globs"),
        ("[tools]\ndeny = [1]", r"`tools.deny`"),
        ("[tools]\ndeny = ['git']", r"`tools.deny` .* `server.tool`, such as `git.\*`"),
        ("[tools]\nallow = ['']", r"`tools.allow` .* `server.tool`"),
        (HOOK.replace("'*'", "'git'"), r"`tools.hooks\[0\].match` .* `server.tool`"),
        ("[tools]\nsearch = 'maybe'", r"`tools.search` .* `auto`"),
        ("[tools]\nsearch_share = true", r"`tools.search_share`"),
        ("[tools]\nresult_share = 25", r"`tools.result_share`"),
        ("[tools]\nrounds = 0", r"`tools.rounds`"),
        ("[tools]\nrounds = 1.5", r"`tools.rounds`"),
        ("[tools]\nrounds = inf", r"`tools.rounds`"),
        ("[tools.hooks]\nwhen = 'before'", r"`tools.hooks` .*`\[\[tools.hooks\]\]`"),
        (HOOK + HOOK.replace("before", "during"), r"`tools.hooks\[1\].when`"),
        (HOOK.replace("match = '*'\n", ""), r"`tools.hooks\[0\].match` is missing"),
        (HOOK + "shell = true", r"`tools.hooks\[0\].shell`"),
        (HOOK + "timeout_s = nan", r"`tools.hooks\[0\].timeout_s`"),
        (HOOK.replace("['x']", "'x'"), r"`tools.hooks\[0\].command`"),
        (HOOK.replace("['x']", "[]"), r"`tools.hooks\[0\].command`"),
        (HOOK.replace("['x']", "['./x']"), r"`tools.hooks\[0\].command` .* whole path"),
        (HOOK.replace("['x']", "['hooks/x']"), r"`tools.hooks\[0\].command` .* whole path"),
        (HOOK.replace("['x']", "['~nobody/x']"), r"`tools.hooks\[0\].command` .* whole path"),
        ("[tools\n", "is no TOML: .* line 1"),
        ("a = " + "[" * 10_000, "too deep|is no TOML"),
        ("#" * (1 << 20) + "#", "more than 1,048,576 bytes"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(InvalidFile, match=said) as caught:
        ToolSettings.of(tmp_path)
    assert str(tmp_path / "config.toml") in caught.value.message


def test_conversations_are_kept_unless_that_is_turned_off(tmp_path: Path) -> None:
    assert SessionSettings.of(tmp_path).keep
    for text, kept in (("keep = false", False), ("keep = true", True), ("", True)):
        (tmp_path / "config.toml").write_text(f"[sessions]\n{text}\n[tools]\nrounds = 7\n")
        assert SessionSettings.of(tmp_path).keep is kept
    (tmp_path / "config.toml").write_text("[sessions]\nkeep = 0\n")
    with pytest.raises(InvalidFile, match=r"`sessions\.keep` in .* must be `true` or `false`"):
        SessionSettings.of(tmp_path)


@pytest.mark.parametrize("data", [b"\xff", b"a = '\xc3'"])
def test_a_file_that_is_no_text_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(data)
    with pytest.raises(InvalidFile, match="no UTF-8 text"):
        ToolSettings.of(tmp_path)


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(InvalidFile, match="cannot be read"):
        ToolSettings.of(tmp_path)
