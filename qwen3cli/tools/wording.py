"""Texts that are not ours, made fit for a model and short: no I/O, no knowledge of what they describe."""

from __future__ import annotations

import re

# C0 but newline and tab, DEL and C1, what turns writing around or hides (tags, zero width, fillers), surrogates.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])\s*")
_LIMITS = re.compile(
    r"\b(must|only|never|not|cannot|required|default|absolute|relative|limit(ed)?|max(imum)?|min(imum)?)\b"
    r"|\bat (most|least)\b|必须|只能|不能|不要|最多|至少|默认|绝对",
    re.IGNORECASE,
)


def harmless(text: str) -> str:
    """Text with newlines and tabs, but nothing that steers a terminal or that a person would not see."""
    return _HARMFUL.sub(_visible, text.replace("\r\n", "\n").replace("\r", "\n"))


def shorten(text: str, limit: int) -> str:
    """What of a description a model needs most: its first sentence, then what limits, then the rest as far as it fits.

    The whole text if it has at most `limit` characters; sentences stay in their order.
    """
    text = " ".join(harmless(text).split())
    if len(text) <= limit:
        return text
    sentences = [one for one in _SENTENCE.split(text) if one]
    if len(sentences[0]) > limit:
        head = text[: limit - 1]
        return (head.rpartition(" ")[0] or head) + "…"
    kept, left = {0}, limit - len(sentences[0])
    for wanted in (True, False):
        for number, sentence in enumerate(sentences):
            fits = number not in kept and len(sentence) < left
            if fits and bool(_LIMITS.search(sentence)) is wanted:
                kept.add(number)
                left -= len(sentence) + 1
    return " ".join(sentences[number] for number in sorted(kept))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\ufffd"
