"""Makes the engine say given texts, whatever its weights would: what is drawn is replaced."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import llama_cpp.llama_cpp as C

from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.sampler import Sampler


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Generator[None, None, None]:
    """A function of a module or class is another one for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def saying(texts: Iterable[str]) -> Generator[None, None, None]:
    """Every generation says the next of the texts and ends."""
    script: Iterator[int] = iter(())
    rest = iter(texts)

    def draw(_sampler: Sampler, _chain: Any, context: Context, _said: object = None) -> int:
        nonlocal script
        token = next(script, None)
        if token is None:
            script = iter(_tokens(context.pointer, next(rest)))
            token = next(script)
        return token

    with replaced(Sampler, "_sample", draw):
        yield


def _tokens(context: Any, text: str) -> list[int]:
    """A text's tokens and the one that ends a turn."""
    model: Any = C.llama_get_model(context)
    vocabulary: Any = C.llama_model_get_vocab(model)
    data = text.encode()
    tokens: Any = (C.llama_token * len(data))()
    count = C.llama_tokenize(vocabulary, data, len(data), tokens, len(data), False, True)
    return [*tokens[:count], int(C.llama_vocab_eot(vocabulary))]
