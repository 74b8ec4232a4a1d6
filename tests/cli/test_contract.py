"""The command line's contract, on the real program: streams, exit codes, prompts, events."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run

STATS = [
    *("model", "load_s", "prompt_tokens", "cached_tokens", "evaluated_tokens", "prompt_s", "ttft_s"),
    *("thinking_tokens", "output_tokens", "output_s", "drafted_tokens", "accepted_tokens"),
    *("context_used", "context_size"),
]
SUM = ["-p", "What is 2 + 3?", "--temperature", "0"]


def demo(
    qwen3: Run, *arguments: str, input: str | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return qwen3("chat", "demo", *arguments, input=input, env=env)


def test_a_pipe_gets_the_answer_and_nothing_else(qwen3: Run) -> None:
    done = demo(qwen3, *SUM)
    assert (done.returncode, done.stderr.count("\x1b")) == (0, 0)
    assert "5" in done.stdout
    assert "think" not in done.stdout.lower()
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", done.stdout)


def test_thinking_is_told_on_request(qwen3: Run) -> None:
    quiet, shown = demo(qwen3, *SUM), demo(qwen3, *SUM, "--show-thinking")
    assert "Thinking..." not in quiet.stderr
    assert "Thinking..." in shown.stderr
    assert shown.stdout == quiet.stdout


def test_no_think_does_not_think(qwen3: Run) -> None:
    done = demo(qwen3, *SUM, "--no-think", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {e["event"] for e in events} == {"text", "end"}
    assert events[-1]["stats"]["thinking_tokens"] == 0


def test_json_events_follow_the_contract(qwen3: Run) -> None:
    done = demo(qwen3, *SUM, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [e["event"] for e in events]
    assert kinds[-1] == "end"
    assert set(kinds) <= {"thinking", "text", "notice", "end"}
    assert "".join(e["text"] for e in events if e["event"] == "text").strip()
    assert "".join(e["text"] for e in events if e["event"] == "thinking").strip()
    end = events[-1]
    assert end["finish"] == "stop"
    assert list(end["stats"]) == STATS
    stats = end["stats"]
    assert stats["model"] == "demo"
    assert stats["output_tokens"] > stats["thinking_tokens"] > 0
    assert stats["evaluated_tokens"] + stats["cached_tokens"] == stats["prompt_tokens"] > 0
    assert stats["context_used"] >= stats["prompt_tokens"]


def test_stdin_is_a_prompt_and_comes_after_the_given_one(qwen3: Run) -> None:
    alone = demo(qwen3, "--temperature", "0", input="What is 2 + 3?")
    assert alone.returncode == 0
    assert alone.stdout == demo(qwen3, *SUM).stdout
    both = demo(qwen3, "first", "--raw", "--max-tokens", "1", "--json", input="second")
    joined = demo(qwen3, "first\n\nsecond", "--raw", "--max-tokens", "1", "--json", "--no-stdin")
    tokens = [json.loads(done.stdout.splitlines()[-1])["stats"]["prompt_tokens"] for done in (both, joined)]
    assert tokens[0] == tokens[1]


def test_words_after_the_model_are_one_prompt(qwen3: Run) -> None:
    done = demo(qwen3, "What", "is", "2", "+", "3?", "--temperature", "0")
    assert done.stdout == demo(qwen3, *SUM).stdout
    dashed = demo(qwen3, "--temperature", "0", "--no-think", "--", "-5 + 3")
    assert dashed.returncode == 0


def test_a_seed_repeats_and_no_seed_does_not(qwen3: Run) -> None:
    hot = [
        "-p",
        "Hello!",
        "--raw",
        "--temperature",
        "3",
        "--top-k",
        "0",
        "--top-p",
        "1",
        "--max-tokens",
        "24",
    ]
    first, again = demo(qwen3, *hot, "--seed", "5"), demo(qwen3, *hot, "--seed", "5")
    assert first.stdout == again.stdout
    assert len({demo(qwen3, *hot).stdout for _ in range(3)}) > 1


def test_the_reply_is_cut_where_asked(qwen3: Run) -> None:
    done = demo(qwen3, "-p", "Hello!", "--no-think", "--max-tokens", "2", "--json")
    end = json.loads(done.stdout.splitlines()[-1])
    assert (end["finish"], end["stats"]["output_tokens"]) == ("length", 2)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["chat", "nosuch", "hi"], 3, "no model"),
        (["chat", "./nosuch.gguf", "hi"], 3, "no file"),
        (["chat", "8b", "hi"], 3, "not installed"),
        (["chat", "a/b", "hi"], 3, "`qwen3 pull a/b` installs it"),
        (["chat", "a/b/c", "hi"], 3, "no model"),
        (["chat", "ollama://qwen3:8b", "hi"], 3, "`qwen3 import ollama://qwen3:8b` does that"),
        (["chat", "why is the sky blue"], 2, "-p"),
        (["chat", "demo"], 2, "no prompt"),
        (["chat", "demo", "hi", "-p", "ho"], 2, "twice"),
        (["chat", "demo", "  "], 2, "empty"),
        (["chat", "demo", "hi", "--temperature", "-1"], 2, "temperature"),
        (["chat", "demo", "hi", "--kv-type", "q9"], 2, "kv-type"),
        (["chat", "demo", "hi", "--gpu-layers", "x"], 2, "gpu-layers"),
        (["chat", "demo", "hi", "--format", "absent.json"], 2, "--format"),
        (["chat", "demo", "hi", "--device", "gpu"], 2, "--device"),
        (["chat", "demo", "--nonsense"], 2, "nonsense"),
        (["nonsense"], 2, "nonsense"),
        (["pull", "mine"], 2, "nothing that a hub could have"),
        (["show", "nosuch"], 3, "no model"),
        (["rm", "nosuch"], 3, "no model"),
        (["rm", "demo"], 3, "built in"),
        (["cp", "nosuch", "x"], 3, "no model"),
        (["cp", "demo", "x"], 3, "built in"),
        (["convert", "nosuch", "-o", "x.gguf"], 4, "nosuch"),
        (["convert", "."], 2, "--as"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_a_code(
    qwen3: Run, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    done = qwen3(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")


def test_a_prompt_beyond_the_context_gives_both_numbers(qwen3: Run) -> None:
    done = demo(qwen3, "--ctx", "256", "--no-think", input="word " * 2000)
    assert done.returncode == 7
    numbers = [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", done.stderr)]
    assert numbers[0] > 1000
    assert 256 in numbers


def test_a_context_beyond_the_trained_one_is_said(qwen3: Run) -> None:
    done = demo(qwen3, "--ctx", "5000", "--no-think", "Hello")
    assert done.returncode == 0
    assert "note: `demo` was trained for 4,096 tokens" in done.stderr
    assert demo(qwen3, "--ctx", "4096", "--no-think", "Hello").stderr == ""


def test_without_a_command_the_help_goes_to_stderr(qwen3: Run) -> None:
    done = qwen3()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: qwen3 ")
    assert "chat      Chat with a model" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is a thing of Linux")
@pytest.mark.parametrize("command", ["list", "chat demo hi --no-think", "chat demo hi --json"])
def test_a_full_disk_under_stdout_is_a_sentence(environ: dict[str, str], command: str) -> None:
    shell = f"{sys.executable} -m qwen3cli {command} >/dev/full"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, env=environ, text=True)
    assert done.returncode == 6
    assert done.stderr == "error: <stdout> cannot be written: No space left on device\n"


def test_stdin_that_is_not_text(environ: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qwen3cli", "chat", "demo"],
        input=b"\xff\xfe\x00",
        capture_output=True,
        env=environ,
    )
    assert done.returncode == 2
    assert b"UTF-8" in done.stderr


def test_errors_are_events_too_with_json(qwen3: Run) -> None:
    done = qwen3("chat", "nosuch", "hi", "--json")
    event = json.loads(done.stdout)
    assert (event["event"], event["exit_code"], done.returncode) == ("error", 3, 3)


@pytest.mark.parametrize("command", ["--help", "chat demo -p 'Hello!' --no-think"])
def test_a_reader_that_goes_away_is_no_error(environ: dict[str, str], command: str) -> None:
    shell = f"set -o pipefail; {sys.executable} -m qwen3cli {command} | head -c 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, env=environ, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_home_that_cannot_be_written(qwen3: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = demo(qwen3, *SUM, env={"QWEN3_HOME": str(tmp_path / "file")})
    assert done.returncode == 1
    assert "QWEN3_HOME" in done.stderr


def test_nothing_installed_in_a_pipe(qwen3: Run, tmp_path: Path) -> None:
    done = qwen3("chat", "-p", "hi", env={"QWEN3_HOME": str(tmp_path)})
    assert done.returncode == 3
    assert "qwen3 pull 0.6b" in done.stderr
    assert "qwen3 chat demo" in done.stderr


def test_the_environment_names_the_default_model(qwen3: Run) -> None:
    assert qwen3("chat", *SUM, env={"QWEN3_MODEL": "demo"}).stdout == demo(qwen3, *SUM).stdout


def test_ctrl_c_ends_with_130_and_keeps_what_was_said(environ: dict[str, str]) -> None:
    """A prompt of raw text at a high temperature goes on for long; it is interrupted after the first text."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "qwen3cli",
            "chat",
            "demo",
            "-p",
            "a",
            "--raw",
            "--json",
            "--temperature",
            "9",
            "--top-k",
            "0",
            "--top-p",
            "1",
            "--ctx",
            "4096",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=environ,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert json.loads(first)["event"] == "text"
    assert json.loads(rest.splitlines()[-1])["finish"] == "interrupted"
    assert (process.returncode, errors) == (130, "")


def test_models_are_installed_listed_shown_copied_and_removed(qwen3: Run, tmp_path: Path) -> None:
    from qwen3cli.demo import CHECKPOINT

    home = {"QWEN3_HOME": str(tmp_path / "home")}
    made = qwen3("convert", str(CHECKPOINT), "--as", "mine", "-q", "Q8_0", env=home)
    assert (made.returncode, made.stdout) == (0, "")
    listed = json.loads(qwen3("list", "--json", env=home).stdout)
    assert [(m["name"], m["quantization"]) for m in listed] == [("mine", "Q8_0")]
    assert qwen3("cp", "mine", "other", env=home).returncode == 0
    assert json.loads(qwen3("show", "OTHER", "--json", env=home).stdout)["architecture"] == "qwen3"
    table = qwen3("list", env=home).stdout.splitlines()
    assert [line.split()[0] for line in table] == ["NAME", "mine", "other", "demo"]
    assert qwen3("chat", "mine", *SUM, env=home).returncode == 0
    assert qwen3("rm", "mine", "other", env=home).returncode == 0
    assert json.loads(qwen3("list", "--json", env=home).stdout) == []


def test_convert_tells_its_progress_as_json(qwen3: Run, tmp_path: Path) -> None:
    from qwen3cli.demo import CHECKPOINT

    target = tmp_path / "out.gguf"
    done = qwen3("convert", str(CHECKPOINT), "-o", str(target), "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1] == {"event": "done", "output": str(target), "bytes": target.stat().st_size}
    progress = [e for e in events if e["event"] == "progress"]
    assert progress[-1]["bytes"] == progress[-1]["total"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]


def test_what_convert_says_to_type_runs(qwen3: Run, tmp_path: Path) -> None:
    from qwen3cli.demo import CHECKPOINT

    made = qwen3("convert", str(CHECKPOINT), "-o", "plain", cwd=tmp_path)
    assert made.stderr.endswith("`qwen3 chat ./plain` runs it\n")
    assert qwen3("chat", "./plain", *SUM, cwd=tmp_path).returncode == 0


def test_json_errors_reach_every_reader_of_json(qwen3: Run) -> None:
    for arguments in (["show", "nope"], ["chat", "nope", "hi"]):
        done = qwen3(*arguments, "--json")
        assert done.returncode == 3
        assert json.loads(done.stdout)["event"] == "error"


def test_doctor_reports(qwen3: Run, shared_home: Path) -> None:
    done = qwen3("doctor")
    assert done.returncode == 0
    for word in (
        "Python",
        "llama-cpp-python",
        "CPU",
        str(shared_home),
        "free memory",
        "rich",
        "platformdirs",
    ):
        assert word in done.stdout
    assert re.search(r"^llama\.cpp +ggml \d+\.\d+", done.stdout, re.MULTILINE)


def test_hostile_files_get_a_sentence(qwen3: Run, tmp_path: Path) -> None:
    cases = {
        "empty.gguf": b"",
        "short.gguf": b"GGUF",
        "text.gguf": b"this is no model, whatever its name says" * 10,
        "version.gguf": b"GGUF" + (99).to_bytes(4, "little") + bytes(64),
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        done = qwen3("chat", str(tmp_path / name), "hi")
        assert done.returncode == 4, (name, done.stderr)
        assert name in done.stderr
        assert done.stderr.startswith("error: ")
