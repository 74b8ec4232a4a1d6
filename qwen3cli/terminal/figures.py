"""Figures and small facts as people read them: sizes, times, statistics, tool calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qwen3cli.chat.events import Stats
from qwen3cli.chat.messages import ERROR_MARK, ToolCall, ToolResult
from qwen3cli.terminal.console import Outlet
from qwen3cli.terminal.sanitise import sanitise_line
from qwen3cli.terminal.wrap import clip


def size(value: float) -> str:
    """Bytes for people, in powers of 1000: `951 B`, `1.2 MB`, `18 GB`."""
    if value < 1000:
        return f"{value:.0f} B"
    for name in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or name == "TB":
            break
    return f"{value:.1f} {name}" if value < 9.95 else f"{value:.0f} {name}"


def duration(seconds: float) -> str:
    """Seconds for people: `12 s`, `1 min 05 s`, `2 h 03 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def stats_text(stats: Stats) -> str:
    """The statistics of a turn, one figure a line, in the words that Ollama uses where it has them."""
    total = stats.load_s + stats.prompt_s + stats.output_s
    reused = f" ({stats.cached_tokens:,} more reused)" if stats.cached_tokens else ""
    thought = f" ({stats.thinking_tokens:,} of them thinking)" if stats.thinking_tokens else ""
    lines = [
        ("total duration", _seconds(total)),
        ("load duration", _seconds(stats.load_s)),
        ("prompt eval count", f"{stats.evaluated_tokens:,} token(s){reused}"),
        ("prompt eval duration", _seconds(stats.prompt_s)),
        ("prompt eval rate", _rate(stats.evaluated_tokens, stats.prompt_s)),
        ("time to first token", _seconds(stats.ttft_s)),
        ("eval count", f"{stats.output_tokens:,} token(s){thought}"),
        ("eval duration", _seconds(stats.output_s)),
        ("eval rate", _rate(stats.output_tokens, stats.output_s)),
        ("context", f"{stats.context_used:,} of {stats.context_size:,} tokens"),
    ]
    if stats.drafted_tokens:
        drafted = f"{stats.accepted_tokens:,} of {stats.drafted_tokens:,} accepted"
        lines.insert(-1, ("drafted tokens", drafted))
    return "\n".join(f"{name + ':':<22}{value}" for name, value in lines)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.2f}s"


def _rate(tokens: int, seconds: float) -> str:
    return f"{tokens / seconds:,.2f} tokens/s" if seconds > 0 else "-"


def call_text(call: ToolCall, outlet: Outlet) -> str:
    """A tool call on one line."""
    return _one_line(f"{outlet.glyph('→', '->')} {call.name}({call_words(call.arguments)})", outlet)


def call_words(values: Mapping[str, Any]) -> str:
    """Names and values on one line."""
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items())


def result_text(result: ToolResult, outlet: Outlet) -> str:
    """The beginning of what a tool gave back, on one line."""
    failed = "failed: " if result.is_error else ""
    text = " ".join(result.content.removeprefix(ERROR_MARK if failed else "").split())
    return _one_line(f"{outlet.glyph('←', '<-')} {failed}{text}", outlet)


def _one_line(text: str, outlet: Outlet) -> str:
    return clip(sanitise_line(text), outlet.width - 1, outlet.glyph("…", "..."))


def count(number: int) -> str:
    """A number of parameters: `3.4 M`, `8.2 B`."""
    for divisor, name in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")):
        if number >= divisor:
            return f"{number / divisor:.1f} {name}"
    return str(number)
