"""Stop strings, cut anywhere."""

from __future__ import annotations

import pytest

from qwen3cli.engines.stopping import StopText

CASES = [
    (("STOP",), "go on STOP here", "go on ", True),
    (("STOP",), "STOP", "", True),
    (("STOP",), "STO", "STO", False),
    (("STOP",), "SSTOSTOPP", "SSTO", True),
    (("aab",), "aaab", "a", True),
    (("\n\n", "END"), "a\nb\n\nc", "a\nb", True),
    (("END", "\n\n"), "a END\n\n", "a ", True),
    (("abcd", "bc"), "xabcd", "xa", True),
    (("中国",), "我在中国", "我在", True),
    ((), "anything", "anything", False),
    (("",), "anything", "anything", False),
]


@pytest.mark.parametrize(("stops", "text", "shown", "hit"), CASES)
def test_every_cut(stops: tuple[str, ...], text: str, shown: str, hit: bool):
    for at in range(len(text) + 1):
        stop = StopText(stops)
        assert stop.feed(text[:at]) + stop.feed(text[at:]) + stop.finish() == shown
        assert stop.hit is hit


@pytest.mark.parametrize(("stops", "text", "shown", "hit"), CASES)
def test_one_character_at_a_time(stops: tuple[str, ...], text: str, shown: str, hit: bool):
    stop = StopText(stops)
    assert "".join(map(stop.feed, text)) + stop.finish() == shown
    assert stop.hit is hit


def test_only_a_possible_beginning_waits():
    stop = StopText(("STOP",))
    assert [stop.feed(piece) for piece in ("a", "bS", "T", "x", "S")] == ["a", "b", "", "STx", ""]
    assert stop.finish() == "S"
