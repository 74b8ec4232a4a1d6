from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict

import pytest

from qwen3cli.chat.events import (
    Event,
    Notice,
    Prefill,
    Stats,
    Text,
    Thinking,
    ToolCalled,
    ToolReturned,
    TurnEnded,
)
from qwen3cli.chat.messages import ToolCall, ToolResult
from qwen3cli.errors import ContextFull, Interrupted
from qwen3cli.terminal.renderer import turn_renderer
from tests.terminal.fakes import STATS, Terminal, console
from tests.terminal.test_progress import shown, until

TURN: list[Event] = [
    Prefill(0, 20),
    Prefill(20, 20),
    Thinking("Let me "),
    Thinking("see.\n"),
    Text("\n\nThe answer"),
    Text(" is 4\x1b[2J.\n\n"),
    TurnEnded("stop", STATS),
]
ANSWER = "\n\nThe answer is 4\x1b[2J.\n\n"
DONE = TurnEnded("stop", STATS)


def play(events: Sequence[Event], *, tty: str = "", quiet: bool = False, **options: bool) -> tuple[str, str]:
    """What stdout and stderr get; `tty` names those of `out` and `err` that are terminals."""
    out = Terminal() if "out" in tty else io.StringIO()
    err = Terminal() if "err" in tty else io.StringIO()
    renderer = turn_renderer(console(out=out, err=err, quiet=quiet, NO_COLOR="1"), **options)
    for event in events:
        renderer.show(event)
    renderer.close()
    return out.getvalue(), err.getvalue()


THOUGHT = "Thinking...\nLet me see.\n...done thinking.\n\n"


@pytest.mark.parametrize(
    ("tty", "options", "stderr"),
    [
        ("", {}, ""),
        ("", {"show_thinking": True}, THOUGHT),
        ("", {"hide_thinking": True}, ""),
        ("err", {}, THOUGHT),
        ("err", {"quiet": True}, ""),
        ("err", {"quiet": True, "show_thinking": True}, THOUGHT),
    ],
)
def test_a_pipe_gets_the_answer_byte_for_byte(tty: str, options: dict[str, bool], stderr: str) -> None:
    assert play(TURN, tty=tty, **options) == (ANSWER, stderr)


def test_no_newline_is_added_to_a_pipe() -> None:
    assert play([Text("42"), DONE]) == ("42", "")


def test_a_terminal_gets_a_tidy_answer() -> None:
    assert play(TURN, tty="out err") == ("The answer is 4␛[2J.\n", THOUGHT)
    assert play(TURN, tty="out") == ("The answer is 4␛[2J.\n", "")


def test_the_repl_shows_thinking_and_leaves_a_blank_line() -> None:
    assert play(TURN, tty="out err", repl=True) == (f"{THOUGHT}The answer is 4␛[2J.\n\n", "")


def test_thinking_is_dim_and_ends() -> None:
    out = Terminal()
    renderer = turn_renderer(console(out=out), repl=True)
    renderer.show(Thinking("hm\n"))
    renderer.show(Text("yes"))
    renderer.close()
    assert out.getvalue() == (
        "\x1b[1;2mThinking...\n\x1b[0m\x1b[2mhm\x1b[0m\n\x1b[1;2m...done thinking.\n\x1b[0m\nyes\n\n"
    )


def test_an_empty_think_block_is_never_shown() -> None:
    assert play([Thinking("\n\n"), Thinking(" "), Text("yes"), DONE], tty="out", repl=True)[0] == "yes\n\n"


def test_hidden_thinking_is_one_live_line() -> None:
    out, err = Terminal(), Terminal()
    renderer = turn_renderer(console(out=out, err=err), hide_thinking=True)
    for _ in range(3):
        renderer.show(Thinking("secret "))
    until(lambda: shown(err) == ["Thinking… 0 s · 3 tokens"] or shown(err)[:1] > ["Thinking… 1"])
    renderer.show(Text("yes"))
    assert shown(err) == []
    renderer.show(DONE)
    assert "secret" not in out.getvalue() + err.getvalue()
    assert out.getvalue() == "yes\n"


def test_long_prefill_shows_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen3cli.terminal.renderer.PREFILL_DELAY", 0.0)
    err = Terminal()
    renderer = turn_renderer(console(err=err))
    renderer.show(Prefill(512, 8000))
    until(lambda: shown(err)[:1] > ["Reading the prompt… 512 of 8,000 tokens · "])
    renderer.show(Prefill(1024, 8000))
    until(lambda: shown(err)[:1] > ["Reading the prompt… 1,024 of 8,000 tokens · "])
    renderer.show(Text("x"))
    assert shown(err) == []
    renderer.close()


def test_answers_wrap_between_words_across_pieces() -> None:
    out = Terminal()
    renderer = turn_renderer(console(out=out, COLUMNS="20"), repl=True)
    for piece in ("one tw", "o three fo", "ur five 床前明月光", "疑是地上霜"):
        renderer.show(Text(piece))
    renderer.show(DONE)
    assert out.getvalue() == "one two three four\nfive 床前明月光疑是\n地上霜\n\n"


def test_a_notice_has_a_line_of_its_own() -> None:
    events = [Text("before "), Notice("careful\x1b[2J"), Text("after"), DONE]
    both = Terminal()
    renderer = turn_renderer(console(out=both, err=both, NO_COLOR="1"), repl=True)
    for event in events:
        renderer.show(event)
    assert both.getvalue() == "before\nnote: careful␛[2J\nafter\n\n"
    assert play(events) == ("before after", "note: careful\x1b[2J\n")


def test_tools_are_shown_compactly_on_stderr() -> None:
    call = ToolCalled(ToolCall("weather", {"city": "Oslo\x1b[2J", "days": 2}))
    events = [
        Thinking("a tool"),
        call,
        ToolReturned(ToolResult("weather", "12 °C\n\nrain " * 30)),
        Text("rain"),
        DONE,
    ]
    out, err = play(events, tty="out err")
    assert out == "rain\n"
    assert 'weather(city="Oslo\\u001b[2J", days=2)' in err
    assert "→ weather" in err
    assert all(len(line) < 80 for line in err.splitlines())
    assert "← 12 °C rain 12 °C rain" in err
    for content in ("no net", "Error: no net"):
        assert "failed: no net" in play([ToolReturned(ToolResult("weather", content, is_error=True))])[1]


@pytest.mark.parametrize(
    ("finish", "note"),
    [("length", "limit of tokens"), ("context", "context of 4,096 tokens is full")],
)
def test_a_cut_reply_says_so(finish: str, note: str) -> None:
    out, err = play([Text("half"), TurnEnded(finish, STATS)])  # type: ignore[arg-type]
    assert out == "half"
    assert note in err


def test_an_interrupted_reply_is_kept_on_the_screen() -> None:
    both = Terminal()
    renderer = turn_renderer(console(out=both, err=both, NO_COLOR="1"), repl=True)
    renderer.show(Thinking("half a thou"))
    renderer.show(TurnEnded("interrupted", STATS))
    assert both.getvalue() == "Thinking...\nhalf a thou\ninterrupted\n\n"


def test_a_failure_ends_what_is_open() -> None:
    both = Terminal()
    renderer = turn_renderer(console(out=both, err=both, NO_COLOR="1"))
    renderer.show(Text("half a word"))
    renderer.fail(ContextFull(5000, 4096))
    assert both.getvalue().startswith(
        "half a word\nerror: the prompt has 5,000 tokens and the context holds 4,096\n"
    )
    renderer.fail(Interrupted())
    assert both.getvalue().endswith("\ninterrupted\n")


def test_stats_are_ollamas_words_on_stderr() -> None:
    out, err = play([Text("x"), DONE], stats=True)
    assert out == "x"
    lines = dict(line.split(":") for line in err.splitlines())
    assert {name: value.strip() for name, value in lines.items()} == {
        "total duration": "2.60s",
        "load duration": "500ms",
        "prompt eval count": "20 token(s) (10 more reused)",
        "prompt eval duration": "100ms",
        "prompt eval rate": "200.00 tokens/s",
        "time to first token": "200ms",
        "eval count": "50 token(s) (4 of them thinking)",
        "eval duration": "2.00s",
        "eval rate": "25.00 tokens/s",
        "context": "80 of 4,096 tokens",
    }
    assert (
        "drafted tokens:       3 of 4"
        in play([TurnEnded("stop", Stats(drafted_tokens=4, accepted_tokens=3))], stats=True)[1]
    )


def test_json_is_the_contract() -> None:
    call, result = ToolCall("weather", {"city": "Oslo"}), ToolResult("weather", "rain", is_error=True)
    events = [
        Prefill(1, 2),
        Thinking("t"),
        ToolCalled(call),
        ToolReturned(result),
        Notice("n"),
        Text("你\x1b"),
        DONE,
    ]
    out, err = play(events, tty="err", as_json=True)
    assert [json.loads(line) for line in out.splitlines()] == [
        {"event": "thinking", "text": "t"},
        {"event": "tool_call", "name": "weather", "arguments": {"city": "Oslo"}},
        {"event": "tool_result", "name": "weather", "is_error": True, "content": "rain"},
        {"event": "notice", "message": "n"},
        {"event": "text", "text": "你\x1b"},
        {"event": "end", "finish": "stop", "stats": asdict(STATS)},
    ]
    assert err == ""


def test_json_errors() -> None:
    out = io.StringIO()
    turn_renderer(console(out=out), as_json=True).fail(ContextFull(5000, 4096))
    event = json.loads(out.getvalue())
    assert event == {"event": "error", "message": ContextFull(5000, 4096).message, "exit_code": 7}
