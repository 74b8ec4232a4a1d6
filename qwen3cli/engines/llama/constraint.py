"""A grammar over tokens: which ones may come next.

llama.cpp's grammar sampler stands outside of the chain here. It ends the process when it is told to accept what
it does not allow, so every token is asked for before it is accepted, and accepted once. What it would let
through in error is held back: broken UTF-8, which it reads as other characters, texts with NUL, whose rest it
does not see, and special tokens that would count as their texts.

It follows all ways that a grammar has at once, and nothing stops it while it does. Where they grow, they grow with
every character, so a step that takes long is the last one that can be afforded: `TooSlow`.
"""

from __future__ import annotations

import codecs
import ctypes
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import llama_cpp.llama_cpp as C
import numpy as np
from numpy.typing import NDArray

from qwen3cli.engines.llama.library import LOG
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.errors import QwenError

Ids = NDArray[np.int32]
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""`llama_token_data`."""
_LIKELY = 512
_AT_ONCE = 4096
"""Tokens that are looked at before the clock is."""
_STEP_S, _MASK_S = 0.1, 1.0
"""What one step, and a look at the whole vocabulary, may take of the processor; they take a hundredth of it."""
_DECODER = codecs.getincrementaldecoder("utf-8")


def clock() -> float:
    """Seconds of this thread on the processor: what others do with it does not count."""
    return time.thread_time()


class TooSlow(QwenError):
    """A grammar has more ways at once than can be followed."""

    def __init__(self) -> None:
        super().__init__("there are too many ways to go on at once")


class Tokens:
    """What constraints need to know of a vocabulary; read when the first candidate was refused."""

    def __init__(self, vocabulary: Vocabulary, tags: Sequence[int] = ()) -> None:
        self.vocabulary = vocabulary
        self.tags = tuple(tags)
        self._special = frozenset(vocabulary.specials[text] for text in vocabulary.markup)
        self.ends = tuple(token for token in self._special if vocabulary.is_end(token))

    def is_text(self, token: int) -> bool:
        """Whether a token may stand for its text: no special one, and nothing that llama.cpp would misread."""
        piece = self.vocabulary.piece(token)
        if not piece or b"\0" in piece or token in self._special:
            return False
        return not self.vocabulary.counts_as_end(token)

    @cached_property
    def _texts(self) -> tuple[Ids, NDArray[np.uint8], Ids]:
        """The ids that can begin a character, those bytes, and the ids that can only go on with one."""
        starts: list[int] = []
        first: list[int] = []
        inner: list[int] = []
        for token, piece in enumerate(self.vocabulary.pieces):
            if not self.is_text(token):
                continue
            if 0x80 <= piece[0] < 0xC0:
                inner.append(token)
            elif _decodes(b"", piece):
                starts.append(token)
                first.append(piece[0])
        return np.array(starts, np.int32), np.array(first, np.uint8), np.array(inner, np.int32)

    @cached_property
    def _bytes(self) -> dict[int, int]:
        """The bytes that are a token of their own."""
        starts, first, _ = self._texts
        pairs = zip(first.tolist(), starts.tolist(), strict=True)
        return {byte: token for byte, token in pairs if len(self.vocabulary.piece(token)) == 1}

    def byte(self, value: int) -> int | None:
        """The token of one byte."""
        return self._bytes.get(value)

    def beginning(self, refused: Sequence[int]) -> Ids:
        """The texts that begin with none of these bytes."""
        starts, first, _ = self._texts
        fine = np.ones(256, np.bool_)
        fine[[*refused]] = False
        return starts[fine[first]]

    def single_bytes(self) -> dict[int, int]:
        """Bytes and their tokens."""
        return self._bytes

    def continuing(self, pending: bytes) -> Ids:
        """The texts that can follow the beginning of a character."""
        fit = [token for token in self._texts[2].tolist() if _decodes(pending, self.vocabulary.piece(token))]
        return np.array(fit, np.int32)


class Constraint:
    """One grammar at work; `free` it."""

    def __init__(self, tokens: Tokens, grammar: str) -> None:
        """Raises `QwenError` when llama.cpp cannot read the grammar."""
        self._tokens = tokens
        self._pending = b""
        LOG.clear()
        pointer = C.llama_sampler_init_grammar(tokens.vocabulary.pointer, grammar.encode(), b"root")
        if not pointer:
            raise QwenError(f"llama.cpp cannot use the grammar: {LOG.reason or 'it gives no reason'}")
        self._pointer: Any = pointer
        # One candidate, made once: it is asked for at every token.
        self._one: Any = C.llama_token_data()
        self._one_array: Any = ctypes.byref(C.llama_token_data_array(ctypes.pointer(self._one), 1, -1, False))

    def allows(self, token: int) -> bool:
        """Whether the token may come next; like all questions it may raise `TooSlow`."""
        if self._tokens.vocabulary.is_end(token):
            return not self._pending and self._fits(token)
        if token in self._tokens.tags:
            return not self._pending and self._fits(token) and not self._is_text_here(token)
        piece = self._tokens.vocabulary.piece(token)
        return self._tokens.is_text(token) and _decodes(self._pending, piece) and self._fits(token)

    def _is_text_here(self, token: int) -> bool:
        """Whether a tag would count as the characters it is written with, and not as the tag."""
        byte = self._tokens.byte(self._tokens.vocabulary.piece(token)[0])
        return byte is None or self._fits(byte)

    def _fits(self, token: int) -> bool:
        """Whether the grammar itself lets the token through."""
        self._one.id, self._one.logit = token, 0.0
        started = clock()
        C.llama_sampler_apply(self._pointer, self._one_array)
        _check(started, _STEP_S)
        return self._one.logit == 0.0

    def _passing(self, ids: Ids) -> Ids:
        """Those of the ids that the grammar itself lets through."""
        candidates = np.zeros(len(ids), CANDIDATE)
        candidates["id"] = ids
        started = clock()
        for at in range(0, len(ids), _AT_ONCE):
            array: Any = ctypes.byref(as_array(candidates[at : at + _AT_ONCE]))
            C.llama_sampler_apply(self._pointer, array)
            _check(started, _MASK_S)
        return ids[candidates["logit"] == 0]

    def accept(self, token: int) -> None:
        """Go on after a token that was allowed; an end needs no going on."""
        vocabulary = self._tokens.vocabulary
        if vocabulary.is_end(token):
            return
        started = clock()
        C.llama_sampler_accept(self._pointer, token)
        _check(started, _STEP_S)
        if token not in self._tokens.tags:
            self._pending = _pending(self._pending, vocabulary.piece(token))

    def allowed(self, logits: NDArray[np.float32], wanted: int) -> Ids:
        """The tokens that may come next: the `wanted` likeliest at least, all of them for 0."""
        others = [token for token in (*self._tokens.ends, *self._tokens.tags) if self.allows(token)]
        texts = self._tokens.continuing(self._pending) if self._pending else self._beginnings()
        if 0 < wanted <= _LIKELY < len(texts):
            order = np.argpartition(logits[texts], -_LIKELY)
            likely = self._passing(texts[order[-_LIKELY:]])
            if len(likely) >= wanted:
                return np.append(likely, np.array(others, np.int32))
        return np.append(self._passing(texts), np.array(others, np.int32))

    def _beginnings(self) -> Ids:
        """The texts whose first byte alone is allowed: in most places few of them."""
        single = self._tokens.single_bytes()
        fine = set(self._passing(np.array([*single.values()], np.int32)).tolist())
        return self._tokens.beginning([byte for byte, token in single.items() if token not in fine])

    def free(self) -> None:
        """Give the memory back; once."""
        C.llama_sampler_free(self._pointer)


def _check(started: float, most: float) -> None:
    if clock() - started > most:
        raise TooSlow


def as_array(candidates: NDArray[Any]) -> C.llama_token_data_array:
    """Candidates as llama.cpp takes them; they have to live as long as what is made of them."""
    data = candidates.ctypes.data_as(ctypes.POINTER(C.llama_token_data))
    return C.llama_token_data_array(data, len(candidates), -1, False)


def _decodes(pending: bytes, piece: bytes) -> bool:
    """Whether the bytes go on with UTF-8."""
    try:
        _DECODER().decode(pending + piece)
    except UnicodeDecodeError:
        return False
    return True


def _pending(before: bytes, piece: bytes) -> bytes:
    """The bytes of a character that is not whole yet."""
    decoder = _DECODER()
    decoder.decode(before + piece)
    return decoder.getstate()[0]
