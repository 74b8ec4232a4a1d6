"""Drawing the next token, in the reference order: penalties, top_k, temperature, top_p, min_p, draw.

llama.cpp's own default puts the temperature last, which widens the nucleus below temperature 1.
"""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import llama_cpp.llama_cpp as C
import numpy as np
from numpy.typing import NDArray

from qwen3cli.chat.sampling import Sampling
from qwen3cli.engines.llama.constraint import CANDIDATE, Constraint, Ids, as_array
from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.likely import Said, likely, view

_SEEDS = 2**32 - 1
"""One less than what 32 bits hold: llama.cpp takes the last one for "no seed"."""


class Sampler:
    """One chain for one generation; it remembers the tokens it drew, for the penalty.

    What a grammar constrains is drawn by a second chain, without the penalty: punctuation has to come again, and an
    argument is copied from a text that is there already.
    """

    def __init__(self, sampling: Sampling, vocabulary_size: int, context_size: int) -> None:
        self._size = vocabulary_size
        self._chain = _chain(_links(sampling, vocabulary_size, context_size))
        # Another seed, or both would draw with the same numbers.
        seed = None if sampling.seed is None else (sampling.seed + 1) % _SEEDS
        plain = replace(sampling, presence_penalty=0.0, seed=seed)
        self._strict = _chain(_links(plain, vocabulary_size, context_size))
        # As many of the likeliest tokens as the chain looks at: to the others it makes no difference.
        self._wanted = 1 if sampling.temperature <= 0 else sampling.top_k
        self._penalty = sampling.presence_penalty
        self._said = Said(vocabulary_size)
        self.refused = 0

    def draw(self, context: Context) -> int:
        """The next token; it is accepted here, so nobody else may."""
        token = self._sample(self._chain, context, self._said.ids)
        self._said.add(token)
        return token

    def _sample(self, chain: C.llama_sampler_p, context: Context, said: Ids | None = None) -> int:
        assert context.pointer is not None
        if not self._wanted:
            return C.llama_sampler_sample(chain, context.pointer, context.output)
        logits = self._logits(context)
        token = _applied(chain, likely(logits, self._wanted, said, self._penalty), logits)
        C.llama_sampler_accept(chain, token)
        return token

    def _logits(self, context: Context) -> NDArray[np.float32]:
        assert context.pointer is not None
        return view(C.llama_get_logits_ith(context.pointer, context.output), self._size)

    def draw_within(
        self, context: Context, constraint: Constraint, besides: Collection[int] = ()
    ) -> int | None:
        """The next token that the constraint allows, or one of `besides`; None when there is none.

        Most of the time the model's own choice is allowed, and costs no look at the other tokens.
        """
        token = self._sample(self._strict, context)
        if token in besides:
            return token
        if not constraint.allows(token):
            self.refused += 1
            choice = self._choose(context, constraint, besides)
            if choice is None or choice in besides:
                return choice
            token = choice
        constraint.accept(token)
        return token

    def _choose(self, context: Context, constraint: Constraint, besides: Collection[int]) -> int | None:
        logits = self._logits(context)
        ids = np.append(constraint.allowed(logits, self._wanted), np.array([*besides], np.int32))
        if not len(ids):
            return None
        return _applied(self._strict, ids, logits)

    def free(self) -> None:
        """Give the memory back; once."""
        C.llama_sampler_free(self._chain)
        C.llama_sampler_free(self._strict)


def _applied(chain: C.llama_sampler_p, ids: Ids | None, logits: NDArray[np.float32]) -> int:
    """What the chain draws of some tokens, or of all."""
    if ids is None:
        ids = np.arange(len(logits), dtype=np.int32)
    candidates: Any = np.zeros(len(ids), CANDIDATE)
    candidates["id"], candidates["logit"] = ids, logits[ids]
    array = as_array(candidates)
    reference: Any = ctypes.byref(array)
    C.llama_sampler_apply(chain, reference)
    return int(array.data[array.selected].id)


def _chain(links: list[C.llama_sampler_p]) -> C.llama_sampler_p:
    chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
    for link in links:
        C.llama_sampler_chain_add(chain, link)
    return chain


def _links(sampling: Sampling, vocabulary_size: int, context_size: int) -> list[C.llama_sampler_p]:
    links: list[C.llama_sampler_p] = []
    if sampling.presence_penalty:
        # The default window of 64 tokens would forget most of what it should keep from repeating.
        penalty = sampling.presence_penalty
        links.append(C.llama_sampler_init_penalties(vocabulary_size, context_size, 1.0, 0.0, penalty))
    if sampling.temperature <= 0:
        return [*links, C.llama_sampler_init_greedy()]
    if sampling.top_k > 0:
        links.append(C.llama_sampler_init_top_k(sampling.top_k))
    links.append(C.llama_sampler_init_temp(sampling.temperature))
    if sampling.top_p < 1:
        links.append(C.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        links.append(C.llama_sampler_init_min_p(sampling.min_p, 1))
    seed = secrets.randbelow(_SEEDS) if sampling.seed is None else sampling.seed
    return [*links, C.llama_sampler_init_dist(seed)]
