"""A model's vocabulary: text to token ids and back.

Knows nothing of contexts, weights or templates.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from functools import cached_property
from itertools import pairwise
from typing import cast

import llama_cpp.llama_cpp as C

from qwen3cli.engines.llama.normal import nfc

_UNKNOWN, _CONTROL, _USER_DEFINED = 1 << 0, 1 << 3, 1 << 4
_QWEN_TOKENIZERS = ("qwen2",)
"""Values of `tokenizer.ggml.pre` whose reference tokenizer normalises to NFC, which llama.cpp does not."""


_MISTAKEN = "</s>"
_INSIDE_MISTAKEN = re.compile("(?<=</)(?=s>)")
"""An ordinary token of Qwen's vocabulary, which llama.cpp takes for an end-of-sequence token by its text."""


class Vocabulary:
    """Tokenizes exactly as the model's reference tokenizer does; safe to use from several threads."""

    def __init__(self, pointer: C.llama_vocab_p, pre: str = "") -> None:
        self.pointer = pointer
        self._pieces: dict[int, bytes] = {}
        self._is_qwen = pre in _QWEN_TOKENIZERS
        self.size = C.llama_vocab_n_tokens(pointer)

    @cached_property
    def specials(self) -> dict[str, int]:
        """Text to id of every token that llama.cpp's tokenizer matches before all others."""
        found: dict[str, int] = {}
        for token in range(self.size):
            if C.llama_vocab_get_attr(self.pointer, token) & (_UNKNOWN | _CONTROL | _USER_DEFINED):
                text = C.llama_vocab_get_text(self.pointer, token).decode("utf-8", "replace")
                if text and not (self._is_qwen and text == _MISTAKEN):
                    found[text] = token
        return found

    @cached_property
    def markup(self) -> frozenset[str]:
        """Specials that mean something; some vocabularies also define runs of white space, which do not."""
        return frozenset(text for text in self.specials if text.strip() and len(text) > 1)

    @cached_property
    def _special(self) -> re.Pattern[str]:
        longest_first = sorted(self.specials, key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")" if longest_first else r"(?!)()")

    def token_text(self, token: int) -> str:
        """The text of a special token; empty for the id -1 of a token that does not exist."""
        return C.llama_vocab_get_text(self.pointer, token).decode("utf-8", "replace") if token >= 0 else ""

    @property
    def bos(self) -> int:
        """Id of the beginning-of-sequence token, -1 without one."""
        return cast("int", C.llama_vocab_bos(self.pointer))

    @property
    def eos(self) -> int:
        """Id of the end-of-sequence token, -1 without one."""
        return cast("int", C.llama_vocab_eos(self.pointer))

    @property
    def adds_bos(self) -> bool:
        """Whether every sequence has to begin with `bos`."""
        return self.bos >= 0 and C.llama_vocab_get_add_bos(self.pointer)

    def is_end(self, token: int) -> bool:
        """Whether the token ends a generation."""
        return self.counts_as_end(token) and not self._is_mistaken(token)

    def counts_as_end(self, token: int) -> bool:
        """Whether llama.cpp takes the token for one that ends a generation, rightly or not."""
        return C.llama_vocab_is_eog(self.pointer, token)

    def _is_mistaken(self, token: int) -> bool:
        return self._is_qwen and self.token_text(token) == _MISTAKEN

    def difference(self, other: Vocabulary) -> str | None:
        """What keeps the other's token ids from meaning the same, as a clause; None if they do.

        llama.cpp asks a little less of models that draft for each other (common/speculative.cpp): one may have some
        tokens more. All of the Qwen3 family have the same number of them.
        """
        if C.llama_vocab_type(self.pointer) != C.llama_vocab_type(other.pointer):
            return "their tokenizers are of different kinds"
        if self.size != other.size:
            return f"they have {self.size:,} and {other.size:,} tokens"
        for token, (one, another) in enumerate(zip(self._natures(), other._natures(), strict=True)):
            if one[0] != another[0]:
                return f"token {token:,} is `{self.token_text(token)}` and `{other.token_text(token)}`"
            if one[1] != another[1]:
                return f"token {token:,}, `{self.token_text(token)}`, is of different kinds"
        if self._ends() != other._ends():
            return "they begin or end texts with different tokens"
        return None

    def _natures(self) -> list[tuple[bytes, int]]:
        """Text and kind of each token."""
        get_text, get_kind, pointer = C.llama_vocab_get_text, C.llama_vocab_get_attr, self.pointer
        return [(get_text(pointer, token), get_kind(pointer, token)) for token in range(self.size)]

    def _ends(self) -> tuple[int | None, int | None]:
        """The tokens that are put before and after every text."""
        return (
            self.bos if self.adds_bos else None,
            self.eos if C.llama_vocab_get_add_eos(self.pointer) else None,
        )

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`; the texts of special tokens in it become those tokens."""
        if not self._is_qwen or unicodedata.is_normalized("NFC", text):
            return self._native(text)
        # The reference takes out added tokens first and normalises what lies between them, so `<think>`
        # followed by a combining character stays a tag, and nothing becomes one by being normalised.
        tokens: list[int] = []
        for number, part in enumerate(self._special.split(text)):
            if number % 2:
                tokens.append(self.specials[part])
            elif part:
                tokens += self.tokenize_plain(nfc(part))
        return tokens

    def tokenize_plain(self, text: str) -> list[int]:
        """Token ids of `text` without any special token; a look-alike is cut so that none can match."""
        cuts = (
            [m.start() + 1 for m in re.finditer(f"(?={self._special.pattern})", text)]
            if self.specials
            else []
        )
        bounds = [0, *cuts, len(text)]
        return [token for a, b in pairwise(bounds) for token in self._native(text[a:b])]

    def _native(self, text: str) -> list[int]:
        if not self._is_qwen or _MISTAKEN not in text:
            return self._native_piece(text)
        # The reference splits inside it anyway: punctuation never goes on with a letter.
        return [token for piece in _INSIDE_MISTAKEN.split(text) for token in self._native_piece(piece)]

    def _native_piece(self, text: str) -> list[int]:
        # Half surrogate pairs come out of JSON escapes; UTF-8 has no form for them.
        data = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()
        room = len(data) + 16
        while True:
            ids = (C.llama_token * room)()
            count = C.llama_tokenize(self.pointer, data, len(data), ids, room, False, True)
            if count >= 0:
                return ids[:count]
            room = -count

    @cached_property
    def pieces(self) -> list[bytes]:
        """The bytes of every token: a sixth of a second for Qwen's vocabulary."""
        buffer = ctypes.create_string_buffer(256)
        pieces: list[bytes] = []
        for token in range(self.size):
            length = C.llama_token_to_piece(self.pointer, token, buffer, len(buffer), 0, True)
            pieces.append(ctypes.string_at(buffer, length) if length >= 0 else self.piece(token))
        self._pieces.update(enumerate(pieces))
        return pieces

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for, of any length; possibly part of a UTF-8 character."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token, 64)
        return piece

    def _read_piece(self, token: int, room: int) -> bytes:
        buffer = ctypes.create_string_buffer(room)
        length = C.llama_token_to_piece(self.pointer, token, buffer, room, 0, True)
        return buffer.raw[:length] if length >= 0 else self._read_piece(token, -length)
