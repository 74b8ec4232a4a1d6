"""Drawing the next token, in the reference order: penalties, top_k, temperature, top_p, min_p, draw.

llama.cpp's own default puts the temperature last, which widens the nucleus below temperature 1.
"""

from __future__ import annotations

import secrets

import llama_cpp.llama_cpp as C

from qwen3cli.chat.sampling import Sampling
from qwen3cli.engines.llama.context import Context

_SEEDS = 2**32 - 1
"""One less than what 32 bits hold: llama.cpp takes the last one for "no seed"."""


class Sampler:
    """One chain for one generation; it remembers the tokens it drew, for the penalty."""

    def __init__(self, sampling: Sampling, vocabulary_size: int, context_size: int) -> None:
        self._chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        for link in _links(sampling, vocabulary_size, context_size):
            C.llama_sampler_chain_add(self._chain, link)

    def draw(self, context: Context) -> int:
        """The next token; `llama_sampler_sample` also accepts it, so nobody else may."""
        assert context.pointer is not None
        return C.llama_sampler_sample(self._chain, context.pointer, -1)

    def free(self) -> None:
        """Give the memory back; once."""
        C.llama_sampler_free(self._chain)


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
