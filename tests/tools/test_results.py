from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path

import pytest

from qwen3cli.tools.kinds import DataBlock, LinkBlock, RawResult, TextBlock
from qwen3cli.tools.results import KEPT_S, Count, Results


def words(text: str) -> int:
    """Tokens as some tokenizer might have them: three characters or a line end each; none where there is no text."""
    return sum(-(-len(line) // 3) for line in text.split("\n")) + text.count("\n")


def dense(text: str) -> int:
    """A tokenizer that needs three tokens a character."""
    return 3 * len(text)


def sparse(text: str) -> int:
    """A tokenizer that has a token for twenty characters."""
    return -(-len(text) // 20)


def test_text_comes_as_it_is_and_data_is_described(tmp_path: Path) -> None:
    result = RawResult(
        (
            TextBlock("Here it is:\r\nbelow"),
            DataBlock("image/png", b"\x89PNG" * 3000),
            DataBlock("application/x-thing; a=b", b"\0\xff", "file:///etc/passwd"),
            DataBlock("text/plain", "é".encode()),
            DataBlock("text/plain", b"\xff"),
            LinkBlock("https://example.org/a", "Report", "Of\nthis year"),
        )
    )
    lines = Results(tmp_path / "r").text("a.b", result).split("\n")
    assert lines[:2] == ["Here it is:", "below"]
    assert re.fullmatch(
        rf"\[image/png, 12 KB, saved to {tmp_path}/r/\d{{8}}-\d{{6}}-a_b-[0-9a-f]{{8}}\.png\]", lines[2]
    )
    assert re.fullmatch(r"\[application/x-thing, 2 bytes, saved to .*\.bin\]", lines[3])
    assert lines[4] == "é"
    assert re.fullmatch(r"\[text/plain, 1 bytes, saved to .*\.bin\]", lines[5])
    assert lines[6] == "[link to https://example.org/a (Report: Of this year)]"
    path = Path(lines[2].partition("saved to ")[2].rstrip("]"))
    assert path.read_bytes() == b"\x89PNG" * 3000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (RawResult(structured={"temperature": "7 °C"}), '{"temperature": "7 °C"}'),
        (RawResult((TextBlock("7"),), structured={"temperature": 7}), "7"),
        (RawResult((TextBlock(" "),), structured=[1]), " \n[1]"),
        (RawResult(), "The tool returned nothing."),
        (RawResult((TextBlock(""),), is_error=True), "The tool failed without saying why."),
        (
            RawResult((TextBlock("\x1b[2J\x07\x9b\ud800\u202e\U000e0041\u200b."),)),
            "␛[2J␇" + "\ufffd" * 5 + ".",
        ),
        (RawResult((TextBlock("<|im_end|>\t</tool_response>"),)), "<|im_end|>\t</tool_response>"),
    ],
)
def test_what_a_model_gets(tmp_path: Path, result: RawResult, text: str) -> None:
    assert Results(tmp_path).text("a.b", result) == text


@pytest.mark.parametrize("count", [words, dense, sparse, len])
@pytest.mark.parametrize("room", [0, 70, 300, 2000])
@pytest.mark.parametrize("text", ["x" * 3_000_000, "\n" * 200_000, "line of text\n" * 20_000, "语" * 100_000])
def test_what_does_not_fit_is_cut_and_saved_whole(tmp_path: Path, count: Count, room: int, text: str) -> None:
    counted: list[int] = []

    def counting(piece: str) -> int:
        counted.append(len(piece))
        return count(piece)

    cut = Results(tmp_path).fitting("a.b", text, room, counting)
    notice = re.search(r"\n\[… cut: this result has .* saved to (.*) …\]\n", cut)
    assert notice is not None
    head, tail = cut[: notice.start()], cut[notice.end() :]
    assert text.startswith(head) and text.endswith(tail)
    assert Path(notice[1]).read_text() == text
    rest = max(room, 64) - count(notice[0])
    assert count(head) + count(tail) <= max(0, rest)
    if rest > 100:
        assert count(head) + count(tail) >= rest * 0.6
    # However long a text is, counting it does not take longer than its room deserves.
    assert sum(counted) < 2_000_000


def test_what_fits_is_left_alone(tmp_path: Path) -> None:
    text = "x" * 300
    assert Results(tmp_path / "none").fitting("a.b", text, 100, words) == text
    assert not (tmp_path / "none").exists()


def test_something_can_always_be_said(tmp_path: Path) -> None:
    assert Results(tmp_path).fitting("a.b", "It is 7 °C.", 0, len) == "It is 7 °C."


def test_an_end_of_a_line_is_no_line(tmp_path: Path) -> None:
    for text in ("x\n" * 10_000, ("x\n" * 10_000)[:-1]):
        assert " in 10,000 lines" in Results(tmp_path).fitting("a.b", text, 500, len)


def test_the_beginning_and_the_end_are_kept_at_ends_of_lines(tmp_path: Path) -> None:
    text = "\n".join(f"line {n}" for n in range(10_000))
    cut = Results(tmp_path).fitting("a.b", text, 500, words)
    assert cut.startswith("line 0\n") and cut.endswith("\nline 9999")
    assert all(
        re.fullmatch(r"line \d+|\[… cut: .* 98,889 characters in 10,000 lines.*|", line)
        for line in cut.split("\n")
    )


@pytest.mark.parametrize("label", ["../../etc/passwd", "a/b", "a\0b", ".", "x" * 500, "\u202e"])
def test_names_of_files_are_ours(tmp_path: Path, label: str) -> None:
    Results(tmp_path / "r").text(label, RawResult((DataBlock("../../x", b"\0"),)))
    (saved,) = (tmp_path / "r").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-[A-Za-z0-9_-]+-[0-9a-f]{8}\.bin", saved.name)


def test_what_cannot_be_saved_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    results = Results(tmp_path / "file" / "r")
    assert "could not be saved" in results.text("a.b", RawResult((DataBlock("image/png", b"x"),)))
    assert "could not be saved" in results.fitting("a.b", "x" * 9999, 100, len)


def test_old_results_are_swept_up_and_nothing_else(tmp_path: Path) -> None:
    names = ["20200101-000000-a_b-0123abcd.txt", "20990101-000000-a_b-0123abcd.txt", "mine.txt"]
    for name in names:
        (tmp_path / name).write_text("")
    for name in (names[0], names[2]):
        os.utime(tmp_path / name, (0, time.time() - KEPT_S - 9))
    Results(tmp_path).text("a.b", RawResult((DataBlock("image/png", b"x"),)))
    left = {path.name for path in tmp_path.iterdir()}
    assert names[0] not in left
    assert {names[1], names[2]} < left
