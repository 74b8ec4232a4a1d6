"""What must not reach a terminal: text that is not ours may hold codes that steer it. No I/O."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]")
# C0 but newline and tab, DEL and C1, bidirectional embeddings, overrides and isolates, surrogates.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_ENDS = re.compile("[\t\n\u2028\u2029]")


def replace_surrogates(text: str) -> str:
    """Make text that UTF-8 can encode: whatever is no character becomes the replacement character."""
    return _SURROGATES.sub("\ufffd", text)


def sanitise(text: str) -> str:
    """Replace whatever could steer a terminal by something visible; newlines and tabs stay.

    Each character is replaced on its own, so no sequence slips through by being split over pieces. C0
    controls become their pictures (`␛`), the rest becomes `\N{REPLACEMENT CHARACTER}`.
    """
    return _UNSAFE.sub(_visible, text)


def sanitise_line(text: str) -> str:
    """Like `sanitise`, for a place that has one line: newlines and tabs are made visible too."""
    return _LINE_ENDS.sub(_visible, sanitise(text))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\ufffd"
