"""NFC as the reference tokenizer computes it: by the tables of Unicode 9, whatever tables Python has."""

from __future__ import annotations

import re
import unicodedata

_LATER_MARKS = re.compile(
    "(["
    "\u07fd\u0897-\u089f\u08ca-\u08d3\u09fe\u0c3c\u0d3b\u0d3c\u0eba\u1715\u1abf-\u1aff\u1df6-\u1dfa\ua82c"
    "\U00010d24-\U00010d27\U00010d69-\U00010d6d\U00010eab\U00010eac\U00010efa-\U00010eff"
    "\U00010f46-\U00010f50\U00010f82-\U00010f85\U00011070\U0001133b\U00011380-\U000113ff\U0001145e"
    "\U00011839\U0001183a\U00011930-\U00011943\U000119e0\U00011a34\U00011a47\U00011a99"
    "\U00011d42-\U00011d45\U00011d97\U00011f41\U00011f42\U00016100-\U0001613f\U00016d40-\U00016d7f"
    "\U00016ff0\U00016ff1\U0001e08f\U0001e130-\U0001e136\U0001e2ae\U0001e2ec-\U0001e2ef"
    "\U0001e4ec-\U0001e4ef\U0001e5ee\U0001e5ef\U0001e6e3-\U0001e6f5"
    "])"
)
"""Combining marks of Unicode 10 to 17. To the reference they are like letters: nothing moves past them."""


def nfc(text: str) -> str:
    """`text` in the reference's normal form C."""
    if unicodedata.is_normalized("NFC", text):
        return text
    parts = _LATER_MARKS.split(text)
    return "".join(
        part if number % 2 else unicodedata.normalize("NFC", part) for number, part in enumerate(parts)
    )
