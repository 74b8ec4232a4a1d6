"""`qwen3 import` on the real program: what other programs have, listed and registered, and never touched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qwen3cli.models.store import ModelStore
from tests.conftest import Run
from tests.converters.ggufs import STRING, entry, gguf, tensor, text
from tests.models.sources.elsewhere import cached, ollama_model, put, tree

LLAMA = gguf([entry("general.architecture", STRING, text("llama"))], [tensor("a", (8,))], data=32)
SECOND = bytes(32)
"""Behind the weights, it makes them another file with the same model."""


class Machine(NamedTuple):
    """A person's home, with what every program keeps in it, and the environment that leads there."""

    home: Path
    environ: dict[str, str]

    def state(self) -> dict[str, Any]:
        return tree(*(self.home / name for name in ("ollama", ".lmstudio", ".cache")))


@pytest.fixture
def machine(tmp_path: Path, tiny_gguf: Path) -> Machine:
    weights = tiny_gguf.read_bytes()
    ollama_model(tmp_path / "ollama", "library/qwen3:8b", weights, "template", "params")
    ollama_model(tmp_path / "ollama", "library/qwen3:latest", weights)
    ollama_model(tmp_path / "ollama", "library/llama3.2:3b", LLAMA)
    ollama_model(tmp_path / "ollama", "library/odd:1", weights, "tensor")
    put(tmp_path / ".lmstudio" / "models" / "p" / "m" / "Qwen3-8B-Q4_K_M.gguf", weights + SECOND)
    hub = tmp_path / ".cache" / "huggingface" / "hub"
    cached(hub, "Qwen/Qwen3-8B-GGUF", "Qwen3-8B-Q8_0.gguf", weights + 2 * SECOND)
    put(tmp_path / ".cache" / "llama.cpp" / "flat.gguf", weights + 3 * SECOND)
    environ = {
        "HOME": str(tmp_path),
        "QWEN3_HOME": str(tmp_path / "qwen3"),
        "OLLAMA_MODELS": str(tmp_path / "ollama"),
    }
    cleared = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "LLAMA_CACHE")
    for path in tmp_path.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    return Machine(tmp_path, {**environ, **dict.fromkeys(cleared, "")})


def names(machine: Machine) -> list[str]:
    return [entry.name for entry in ModelStore(machine.home / "qwen3" / "models").entries()]


def test_without_arguments_everything_is_listed_and_nothing_changed(qwen3: Run, machine: Machine) -> None:
    before = machine.state()
    done = qwen3("import", env=machine.environ)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["PROGRAM", "MODEL", "SIZE", "FILE"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["ollama", "llama3.2:3b"],
        ["ollama", "qwen3:8b"],
        ["ollama", "qwen3:latest"],
        ["lmstudio", "p/m/Qwen3-8B-Q4_K_M.gguf"],
        ["hf", "Qwen/Qwen3-8B-GGUF:Qwen3-8B-Q8_0.gguf"],
        ["llama.cpp", "flat.gguf"],
    ]
    assert lines[-1].split()[-1] == str(machine.home / ".cache" / "llama.cpp" / "flat.gguf")
    assert "note: `odd:1` of Ollama is passed over: its weights are stored tensor by tensor" in done.stderr
    assert "`qwen3 import PROGRAM` registers" in done.stderr
    assert done.returncode == 0
    assert machine.state() == before
    assert not (machine.home / "qwen3").exists()


def test_a_program_is_imported_without_copying_and_only_once(qwen3: Run, machine: Machine) -> None:
    before = machine.state()
    done = qwen3("import", "ollama", env=machine.environ)
    assert (done.returncode, done.stdout) == (0, "")
    assert "registered qwen3-8b: qwen3:8b (" in done.stderr
    assert "installed already as qwen3-8b: qwen3:latest (" in done.stderr
    assert "passed over, unless named or with `--all`: `llama3.2:3b` (llama)" in done.stderr
    again = qwen3("import", "Ollama", "--json", env=machine.environ)
    assert [(one["model"], one["name"], one["new"]) for one in json.loads(again.stdout)] == [
        ("qwen3:8b", "qwen3-8b", False),
        ("qwen3:latest", "qwen3-8b", False),
    ]
    assert names(machine) == ["qwen3-8b"]
    kept = [path for path in (machine.home / "qwen3").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) < 4_000
    assert "installed already: qwen3-8b\n" in qwen3("import", env=machine.environ).stderr
    shown = json.loads(qwen3("import", "--json", env=machine.environ).stdout)
    assert [one["name"] for one in shown] == [None, "qwen3-8b", "qwen3-8b", None, None, None]
    assert qwen3("rm", "qwen3-8b", env=machine.environ).returncode == 0
    assert machine.state() == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["ollama", "qwen3:8b"], ["qwen3-8b"]),
        (["ollama", "QWEN3-8B", "--as", "mine"], ["mine"]),
        (["ollama", "llama3.2:3b"], ["llama3.2-3b"]),
        (["ollama", "qwen3", "llama3.2"], ["llama3.2-3b", "qwen3"]),
        (["ollama://qwen3:8b"], ["qwen3-8b"]),
        (["ollama", "--all"], ["llama3.2-3b", "qwen3-8b"]),
        (["lmstudio"], ["Qwen3-8B-Q4_K_M"]),
        (["lm-studio", "--as", "mine"], ["mine"]),
        (["hf", "Qwen/Qwen3-8B-GGUF"], ["Qwen3-8B-Q8_0"]),
        (["llama.cpp"], ["Qwen3-8B-Q8_0", "flat"]),
        (["--all"], ["Qwen3-8B-Q4_K_M", "Qwen3-8B-Q8_0", "flat", "llama3.2-3b", "qwen3-8b"]),
        ([".cache/llama.cpp/flat.gguf", "--as", "mine"], ["mine"]),
        (["~/.cache/llama.cpp"], ["flat"]),
        (["./ollama", "qwen3:8b"], ["qwen3-8b"]),
        ([".lmstudio"], ["Qwen3-8B-Q4_K_M"]),
    ],
)
def test_the_grammar(qwen3: Run, machine: Machine, arguments: list[str], expected: list[str]) -> None:
    before = machine.state()
    done = qwen3("import", *arguments, env=machine.environ, cwd=machine.home)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert names(machine) == expected
    assert machine.state() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["olama"], 2, "neither a program nor a path"),
        (["qwen3:8b"], 2, "neither a program nor a path"),
        ([""], 2, "the path is empty"),
        (["./nowhere"], 3, "there is no file or folder"),
        (["nowhere.gguf"], 3, "there is no file or folder"),
        (["~nobody-of-that-name/x"], 3, "leads nowhere"),
        (["ollama", "nosuch"], 3, "there is no `nosuch` in Ollama"),
        (["ollama", "odd:1"], 3, "tensor by tensor"),
        (["ollama", "../../x"], 3, "there is no `../../x`"),
        (["--as", "mine"], 2, "`--as` names one model"),
        (["ollama", "--as", "mine"], 2, "`--as` names one model, and 2 were found"),
        (["ollama", "qwen3:8b", "llama3.2:3b", "--as", "mine"], 2, "`--as` names one model"),
        (["ollama", "qwen3:8b", "--all"], 2, "exclude each other"),
        (["ollama", "qwen3:8b", "--as", "../x"], 2, "cannot name a model"),
        (["qwen3"], 3, "there are no models in"),
        (["ollama/manifests/registry.ollama.ai/library/qwen3/8b"], 4, "does not end in `.gguf`"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    qwen3: Run, machine: Machine, arguments: list[str], code: int, words: str
) -> None:
    (machine.home / "qwen3").mkdir()
    done = qwen3("import", *arguments, env=machine.environ, cwd=machine.home)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert names(machine) == []


def test_a_second_name_for_what_is_installed_is_for_cp(qwen3: Run, machine: Machine) -> None:
    assert qwen3("import", "ollama", "qwen3:8b", "--as", "mine", env=machine.environ).returncode == 0
    assert qwen3("import", "ollama", "qwen3:8b", "--as", "MINE", env=machine.environ).returncode == 0
    done = qwen3("import", "ollama", "qwen3:8b", "--as", "other", env=machine.environ)
    assert (done.returncode, names(machine)) == (2, ["mine"])
    assert "hint: `qwen3 cp mine other` gives it a second name" in done.stderr
    taken = qwen3("import", "ollama", "llama3.2", "--as", "Mine", env=machine.environ)
    assert (taken.returncode, names(machine)) == (2, ["mine"])


def test_of_several_models_one_that_is_unsound_is_passed_over(qwen3: Run, machine: Machine) -> None:
    folder = machine.home / "folder"
    good = put(folder / "good.gguf", next((machine.home / ".cache" / "llama.cpp").iterdir()).read_bytes())
    put(folder / "bad.gguf", b"GGUF" + (99).to_bytes(4, "little") + bytes(64))
    done = qwen3("import", str(folder), env=machine.environ)
    assert (done.returncode, names(machine)) == (0, ["good"])
    assert "note: " in done.stderr
    assert "bad.gguf" in done.stderr
    good.unlink()
    assert qwen3("import", str(folder), env=machine.environ).returncode == 4
    assert qwen3("import", str(folder / "bad.gguf"), env=machine.environ).returncode == 4


def test_a_file_that_its_owner_deletes(qwen3: Run, machine: Machine) -> None:
    path = put(
        machine.home / "folder" / "good.gguf",
        (machine.home / ".cache" / "llama.cpp" / "flat.gguf").read_bytes(),
    )
    assert qwen3("import", str(path), "--as", "mine", env=machine.environ).returncode == 0
    kept = path.read_bytes()
    path.unlink()
    done = qwen3("show", "mine", env=machine.environ)
    assert done.returncode == 4
    assert f"`{path}`, a file of `mine`, is gone" in done.stderr
    path.write_bytes(kept)
    done = qwen3("import", str(path), env=machine.environ)
    assert "registered mine: good.gguf" in done.stderr
    assert qwen3("show", "mine", env=machine.environ).returncode == 0


def test_a_machine_with_nothing(qwen3: Run, tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "QWEN3_HOME": str(tmp_path / "q"),
        "OLLAMA_MODELS": str(tmp_path / "none"),
    }
    environ |= dict.fromkeys(
        ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "LLAMA_CACHE"), ""
    )
    done = qwen3("import", env=environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no other program has a model here\n")
    assert json.loads(qwen3("import", "--json", env=environ).stdout) == []
    done = qwen3("import", "ollama", env=environ)
    assert done.returncode == 3
    assert done.stderr.splitlines()[1] == f"hint: looked in `{tmp_path / 'none'}`"


def test_hostile_names_reach_no_terminal_and_no_name(qwen3: Run, machine: Machine) -> None:
    folder = machine.home / "folder"
    weights = (machine.home / ".cache" / "llama.cpp" / "flat.gguf").read_bytes()
    for number, name in enumerate((b"\x1b]0;a\x07.gguf", b"a\nerror: b.gguf", b"\xff.gguf", b"demo.gguf")):
        put(folder / os.fsdecode(name), weights + bytes(32 * number))
    os.mkfifo(folder / "pipe.gguf")
    done = qwen3("import", str(folder), env=machine.environ)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert names(machine) == ["0-a", "a-error-b", "file-demo", "file-model"]
    assert len(done.stderr.splitlines()) == 5
    assert not any(line.startswith("error") for line in done.stderr.splitlines())
    listed = json.loads(qwen3("import", str(folder), "--json", env=machine.environ).stdout)
    assert [one["new"] for one in listed] == [False] * 4
