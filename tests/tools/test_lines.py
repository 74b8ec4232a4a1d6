"""Lines of bounded length out of blocks, and whose answer a line is that was not kept."""

from __future__ import annotations

import random

import pytest

from qwen3cli.tools.lines import Lines, TooLong, answered


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 9)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def test_lines_come_out_as_they_went_in() -> None:
    chance = random.Random(5)
    for _ in range(300):
        wanted = [bytes(chance.randrange(65, 70) for _ in range(chance.randrange(9))) for _ in range(5)]
        lines = Lines(limit=8)
        found = [
            line
            for block in cut(b"".join(line + b"\n" for line in wanted), chance)
            for line in lines.feed(block)
        ]
        assert found == wanted


@pytest.mark.parametrize("blocks", [1, 7, 5000, 100_000])
def test_a_long_line_keeps_its_ends(blocks: int) -> None:
    lines = Lines(limit=20_000)
    data = b"HEAD" + b"x" * 49_992 + b"TAIL"
    found = [
        line for start in range(0, len(data), blocks) for line in lines.feed(data[start : start + blocks])
    ]
    (line,) = [*found, *lines.feed(b"\nnext\n")][:1]
    assert isinstance(line, TooLong)
    assert (line.size, line.head[:4], line.tail[-4:]) == (50_000, b"HEAD", b"TAIL")
    assert (len(line.head), len(line.tail)) == (4096, 4096)


def test_the_line_after_a_long_one_is_whole() -> None:
    lines = Lines(limit=4)
    assert lines.feed(b"123456\n12")[0] == TooLong(6, b"123456", b"123456")
    assert lines.feed(b"34\n") == [b"1234"]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":{"id":8}}', 7),
        (b'{"id": "a-1", "result": {', "a-1"),
        (b'{"result":{"content":[]},"jsonrpc":"2.0","id":7}', 7),
        (b'{"result":{"a":{}},"id":7,"jsonrpc":"2.0"}  ', 7),
        (b'{"result":{"text":"\\"id\\":9}","id":8}}', None),
        (b'{"result":{"a":{},"id":8}}', None),
        (b'{"jsonrpc":"2.0","method":"x","params":{"id":3}}', None),
        (b'{"result":"}, \\"id\\": 5}"}', None),
        (b"Welcome!", None),
        (b"", None),
    ],
)
def test_whose_answer_it_is(line: bytes, number: int | str | None) -> None:
    assert answered(line) == number
    assert answered(TooLong(len(line), line[:4096], line[-4096:])) == number
