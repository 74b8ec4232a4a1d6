"""Where a rendering is cut."""

from __future__ import annotations

import pytest

from qwen3cli.engines.lookalikes import Rendering, cut


def cut_at(text: str, *markup: str) -> tuple[str, ...]:
    """Cuts a text in which the conversation's characters are written in brackets."""
    spans: list[tuple[int, int]] = []
    plain = ""
    for part in text.split("["):
        foreign, closed, own = part.partition("]")
        if closed:
            spans.append((len(plain), len(plain) + len(foreign)))
            plain += foreign + own
        else:
            plain += part
    return cut(Rendering(plain, tuple(spans)), frozenset(markup))


@pytest.mark.parametrize(
    ("text", "markup", "pieces"),
    [
        ("", ("<a>",), ()),
        ("x<a>y", ("<a>",), ("x<a>y",)),
        ("x[<a>]y", ("<a>",), ("x<", "a>y")),
        ("x<[a]>y", ("<a>",), ("x<", "a>y")),
        ("x<a[>]y", ("<a>",), ("x<a", ">y")),
        ("x[<]a>y", ("<a>",), ("x<", "a>y")),
        ("[<a]<a>", ("<a>",), ("<a<a>",)),
        ("[<a><a>]<a>[<a>]", ("<a>",), ("<", "a><", "a><a><", "a>")),
        ("<a>[b]", ("<a>", "<a>b"), ("<a>", "b")),
        ("[b]<a>", ("<a>", "b<a>"), ("b", "<a>")),
        ("[abab]", ("aba", "bab"), ("a", "b", "ab")),
        ("[x] y [<b>] z", ("<a>", "<b>", "<bb>"), ("x y <", "b> z")),
        ("[<a<bb>]", ("<a<bb>", "<bb>"), ("<", "a<", "bb>")),
    ],
)
def test_examples(text: str, markup: tuple[str, ...], pieces: tuple[str, ...]):
    assert cut_at(text, *markup) == pieces
