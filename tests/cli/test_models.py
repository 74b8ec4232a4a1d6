"""`qwen3 list`, `show`, `rm` and `cp`: what they say of models that are sound, of others, changed, or unreadable."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.cli.session import thinking_of
from qwen3cli.engines import rendering
from qwen3cli.models.manifest import Origin
from qwen3cli.models.store import ModelStore
from qwen3cli.models.workshop import write_whole
from tests.conftest import Run
from tests.converters.ggufs import ARCHITECTURE, STRING, entry, gguf, tensor, text
from tests.models.stored import copied, put, shards

HOURS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
SWITCHED = "{{ 'a' if enable_thinking else 'b' }}"
F32 = 6


def model_with(**metadata: str | float) -> bytes:
    """A file of one tensor that says this about itself."""
    entries = [
        entry(key, STRING, text(value))
        if isinstance(value, str)
        else entry(key, F32, struct.pack("<f", value))
        for key, value in ((name.replace("__", "."), value) for name, value in metadata.items())
    ]
    return gguf([ARCHITECTURE, *entries], [tensor("t", (32,))], data=128)


@pytest.fixture
def home(tmp_path: Path) -> Mapping[str, str]:
    return {"QWEN3_HOME": str(tmp_path / "home")}


@pytest.fixture
def store(home: Mapping[str, str]) -> ModelStore:
    return ModelStore(Path(home["QWEN3_HOME"]) / "models", thinking_of)


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def table(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The rows of two columns."""
    assert done.returncode == 0, done.stderr
    return {line[:15].strip(): line[15:].strip() for line in done.stdout.splitlines()}


def test_a_listing_says_what_and_where_from(
    qwen3: Run, store: ModelStore, home: dict[str, str], demo_q8_0: Path
) -> None:
    put(store, "mine", demo_q8_0, "Qwen/Qwen3-8B-GGUF:Q8_0")
    header, row, demo = qwen3("list", env=home).stdout.splitlines()
    assert header.split() == ["NAME", "SIZE", "TYPE", "MODIFIED", "SOURCE"]
    assert row.split() == ["mine", "4.2", "MB", "Q8_0", "just", "now", "Qwen/Qwen3-8B-GGUF:Q8_0"]
    assert demo.split() == ["demo", "built", "in"]
    (one,) = parsed(qwen3("list", "--json", env=home))
    kept = ("name", "file_bytes", "quantization", "source", "external", "problem", "thinking")
    size = demo_q8_0.stat().st_size
    assert [one[key] for key in kept] == ["mine", size, "Q8_0", row.split()[-1], False, None, "hybrid"]


def test_a_listing_opens_no_model(store: ModelStore, environ: dict[str, str], tiny_gguf: Path) -> None:
    put(store, "mine", tiny_gguf)
    store.copy("mine", "other")
    code = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == 'open' else None)\n"
        "from qwen3cli.cli import main\n"
        "main(['list'])\n"
        "print(*(path for path in opened if 'models' in path and 'site-packages' not in path), sep='\\n')\n"
    )
    environ = {**environ, "QWEN3_HOME": str(store.folder.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    inside = [Path(line).name for line in done.stdout.splitlines() if line.startswith(str(store.folder))]
    assert inside == ["manifest.json"] * 2


def test_a_model_is_shown_with_all_that_is_known(
    qwen3: Run, store: ModelStore, home: dict[str, str], demo_q8_0: Path
) -> None:
    origin = Origin("Qwen/Qwen3-8B-GGUF:Q8_0", "7c41481f", ("0" * 64,), "apache-2.0")
    store.add("mine", origin, lambda target: copied(demo_q8_0, target))
    rows = table(qwen3("show", "MINE", env=home))
    said = {
        **{"name": "mine", "architecture": "qwen3", "parameters": "3.9 M", "context": "4,096 tokens"},
        **{"type": "Q8_0", "size": "4.2 MB", "kind": "chat", "license": "apache-2.0"},
        **{"source": "Qwen/Qwen3-8B-GGUF:Q8_0", "revision": "7c41481f", "modified": "just now"},
        **{"sampling": "top_k 20, top_p 0.95, temp 0.6", "file": str(store.get("mine").facts.path)},
    }
    assert {key: rows[key] for key in said} == said
    assert rows["template"].startswith("ChatML, takes tools (sha256 ")
    assert rows["thinking"].startswith("hybrid")
    shown = parsed(qwen3("show", "mine", "--json", env=home))
    assert shown["sampling"] == {"top_k": 20, "top_p": 0.95, "temp": 0.6}
    assert shown["template"]["kind"] == "ChatML"
    kept = ("revision", "sha256", "license", "thinking")
    assert [shown[key] for key in kept] == ["7c41481f", ["0" * 64], "apache-2.0", "hybrid"]


def test_a_file_and_the_demo_are_shown_too(qwen3: Run, home: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    write_whole(path, model_with(tokenizer__chat_template=SWITCHED, general__license="mit"))
    rows = table(qwen3("show", str(path), env=home))
    assert (rows["license"], rows["thinking"][:6], rows["file"]) == ("mit", "hybrid", str(path))
    assert "source" not in rows
    shown = parsed(qwen3("show", "demo", "--json"))
    assert (shown["thinking"], "source" in shown) == ("hybrid", False)


def test_all_parts_of_a_model_are_shown(
    qwen3: Run, store: ModelStore, home: dict[str, str], tmp_path: Path
) -> None:
    entry = store.install("big", shards(tmp_path / "hub"), Origin("hub"))
    lines = qwen3("show", "big", env=home).stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("file")] == [
        str(path) for path in entry.files
    ]


@pytest.mark.parametrize(
    ("template", "kind"),
    [
        (SWITCHED, "hybrid"),
        ("{{ messages[0].content }}<|im_start|>assistant\n<think>\n", "always"),
        ("{{ messages[0].content }}", "never"),
        ("", "never"),
        ("{{ broken", ""),
        ("{{ raise_exception('no') }}", ""),
        (HOURS, ""),
    ],
)
def test_the_thinking_kind_is_told_by_the_template_and_stops_no_installation(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, template: str, kind: str
) -> None:
    monkeypatch.setattr(rendering, "TIME_LIMIT_S", 0.5 if template == HOURS else 10.0)
    content = model_with(tokenizer__chat_template=template)
    entry = store.add("m", Origin("x"), lambda target: write_whole(target, content))
    assert entry.facts.thinking == kind
    assert store.facts(store.get("m")).thinking == kind
    base = store.add(
        "b", Origin("x"), lambda target: write_whole(target, content), file_name="M-4B-Base.gguf"
    )
    assert base.facts.thinking == "never"


def test_what_a_file_says_of_itself_may_be_nonsense(
    qwen3: Run, store: ModelStore, home: dict[str, str]
) -> None:
    content = model_with(
        tokenizer__chat_template="{{ broken",
        general__license="l" * 5000,
        general__sampling__temp=float("nan"),
        general__sampling__top_p=float("inf"),
    )
    store.add("m", Origin("x"), lambda target: write_whole(target, content))
    rows = table(qwen3("show", "m", env=home))
    assert rows["thinking"].startswith("not known")
    assert rows["sampling"] == "temp nan, top_p inf"
    assert len(rows["license"]) == 256
    assert parsed(qwen3("show", "m", "--json", env=home))["sampling"] == {"temp": "nan", "top_p": "inf"}


@pytest.mark.parametrize("harm", ["deleted", "changed"])
def test_a_file_of_others_that_is_no_longer_as_it_was_is_told_everywhere(
    qwen3: Run, store: ModelStore, home: dict[str, str], tmp_path: Path, tiny_gguf: Path, harm: str
) -> None:
    file = tmp_path / "theirs.gguf"
    copied(tiny_gguf, file)
    store.register("theirs", [file], Origin("ollama://theirs"))
    assert table(qwen3("show", "theirs", env=home))["file (external)"] == str(file)
    words = {"deleted": "is gone", "changed": "changed or replaced"}[harm]
    if harm == "deleted":
        file.unlink()
    else:
        os.utime(file, ns=(1, 1))
    for arguments in (["show", "theirs"], ["chat", "theirs", "hi"], ["cp", "theirs", "mine"]):
        done = qwen3(*arguments, env=home)
        assert (done.returncode, done.stdout) == (4, "")
        assert words in done.stderr
        assert "`qwen3 rm theirs` forgets it" in done.stderr
        assert ("put it back" in done.stderr) == (harm == "deleted")
    listed = qwen3("list", env=home)
    assert words in listed.stderr
    assert listed.stdout.splitlines()[1].startswith("theirs")
    (one,) = parsed(qwen3("list", "--json", env=home))
    assert words in one["problem"]
    assert parsed(qwen3("rm", "theirs", "--json", env=home)) == {"removed": ["theirs"]}
    assert file.exists() == (harm == "changed")


def test_a_manifest_of_a_newer_program_says_so(
    qwen3: Run, store: ModelStore, home: dict[str, str], tiny_gguf: Path
) -> None:
    put(store, "m", tiny_gguf)
    (store.folder / "m" / "manifest.json").write_text('{"schema": 2}')
    listed = qwen3("list", env=home)
    assert (listed.returncode, [line.split()[0] for line in listed.stdout.splitlines()]) == (
        0,
        ["NAME", "demo"],
    )
    shown = qwen3("show", "m", env=home)
    assert shown.returncode == 4
    for done in (listed, shown):
        assert "newer version of this program" in done.stderr
        assert "damaged" not in done.stderr
    assert qwen3("rm", "m", env=home).returncode == 0


def test_a_copy_over_another_model_is_refused(
    qwen3: Run, store: ModelStore, home: dict[str, str], tiny_gguf: Path
) -> None:
    put(store, "m", tiny_gguf)
    put(store, "M2", tiny_gguf)
    done = qwen3("cp", "m", "m2", env=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`qwen3 rm M2`" in done.stderr


def test_removing_and_copying_speak_json(
    qwen3: Run, store: ModelStore, home: dict[str, str], tiny_gguf: Path
) -> None:
    put(store, "One", tiny_gguf)
    copy = parsed(qwen3("cp", "one", "two", "--json", env=home))
    assert (copy["name"], copy["source"]) == ("two", "a test")
    done = qwen3("rm", "ONE", "two", "--json", env=home)
    assert parsed(done) == {"removed": ["One", "two"]}
    for arguments in (["rm", "one", "--json"], ["cp", "one", "two", "--json"]):
        failed = qwen3(*arguments, env=home)
        assert failed.returncode == 3
        assert json.loads(failed.stdout)["event"] == "error"
