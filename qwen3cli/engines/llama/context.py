"""The context: what the model has read so far, and evaluating more of it.

Knows token ids only. One thread owns a context; what stops it, its `halt`, is everybody's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence

import llama_cpp.llama_cpp as C

from qwen3cli.engines.llama.halt import Halt
from qwen3cli.engines.llama.library import LOG
from qwen3cli.engines.llama.prefix import common_prefix
from qwen3cli.engines.llama.weights import Weights
from qwen3cli.errors import InvalidFile, NotEnough, QwenError, UsageError
from qwen3cli.machine import MICRO_BATCH, MOST_OUTPUTS, Placement

MOST_DRAFTED = MOST_OUTPUTS - 1
"""Tokens evaluated on trust at once."""

_ABORTED = 2
_SEQUENCE = ctypes.c_int32(0)


def kv_type_id(name: str) -> int:
    """ggml's number of a type of `machine.KV_TYPES` (ggml.h; llama-cpp-python lacks BF16's)."""
    return 30 if name == "bf16" else getattr(C, f"GGML_TYPE_{name.upper()}")


class Cancelled(Exception):
    """Evaluation was stopped by a `Halt`; the context is sane and holds what was evaluated before."""


class Context:
    """The KV cache of one conversation, with `tokens` mirroring it: one id per position."""

    def __init__(self, weights: Weights, placement: Placement, halt: Halt | None = None) -> None:
        """With a `halt` of somebody else's it stops when that does."""
        assert weights.pointer is not None
        self.size = placement.context_size
        self.tokens: list[int] = []
        model = weights.pointer
        self.goes_back = not (C.llama_model_is_recurrent(model) or C.llama_model_is_hybrid(model))
        """Whether a part of what was read can be forgotten; a recurrent model forgets all of it."""
        self.halt = halt or Halt()
        LOG.clear()
        pointer = C.llama_init_from_model(weights.pointer, self._parameters(weights, placement))
        if not pointer:
            raise _refusal(placement)
        self.pointer: C.llama_context_p | None = pointer
        self._memory = C.llama_get_memory(pointer)
        self._batch = _batch_with_all_outputs(MOST_OUTPUTS)
        if self._memory is None:
            self.free()
            raise InvalidFile("this model does not write text: it has no memory of what it read")
        self._one = (C.llama_token * 1)()
        self._one_batch = C.llama_batch_get_one(self._one, 1)
        self._drafted: list[int] = []  # Evaluated after `tokens`, on trust.
        self.output = -1
        """Which of the last batch's outputs belongs to the last of `tokens`."""

    def _parameters(self, weights: Weights, placement: Placement) -> C.llama_context_params:
        params = C.llama_context_default_params()
        params.n_ctx = placement.context_size
        params.n_batch = params.n_ubatch = min(MICRO_BATCH, placement.context_size)
        # Room for the logits of a whole batch would be 300 MB with Qwen3's vocabulary; nobody asks for so many.
        params.n_outputs_max = MOST_OUTPUTS
        params.n_threads = params.n_threads_batch = placement.threads
        params.type_k = params.type_v = kv_type_id(placement.kv_type)
        params.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_AUTO
        if placement.stretch > 1 and not weights.stretches_itself:
            params.rope_scaling_type = C.LLAMA_ROPE_SCALING_TYPE_YARN
            params.rope_freq_scale = 1 / placement.stretch
            params.yarn_orig_ctx = placement.native
        params.abort_callback = self.halt.callback
        params.abort_callback_data = self.halt.data
        params.no_perf = True
        return params

    @property
    def room(self) -> int:
        """Tokens that still fit."""
        return self.size - len(self.tokens)

    def keep_prefix(self, prompt: Sequence[int]) -> int:
        """Forget what does not begin `prompt` and return how many of its tokens need no evaluation.

        Always leaves at least one token to evaluate, since sampling needs its logits.
        """
        self.keep(min(common_prefix(self.tokens, prompt), len(prompt) - 1))
        return len(self.tokens)

    def keep(self, count: int) -> None:
        """Forget all but the first `count` tokens."""
        assert self._memory is not None
        if not C.llama_memory_seq_rm(self._memory, 0, count, -1):
            # Recurrent models cannot go back part of the way.
            C.llama_memory_clear(self._memory, True)
            count = 0
        del self.tokens[count:]
        self._drafted, self.output = [], -1

    def evaluate(self, tokens: Sequence[int]) -> Iterator[int]:
        """Append `tokens` by micro-batches; yields how many are done after each."""
        self._drop_draft()
        for start in range(0, len(tokens), MICRO_BATCH):
            part = tokens[start : start + MICRO_BATCH]
            ids = (C.llama_token * len(part))(*part)  # named, for the batch only points to it
            self._decode(C.llama_batch_get_one(ids, len(part)))
            self.tokens += part
            yield start + len(part)

    def append(self, token: int, draft: Sequence[int] = ()) -> None:
        """Append one token: the generation loop's short way.

        With a `draft`, at most `MOST_DRAFTED` tokens that may come next are evaluated along with it: as long as they
        do, `take_drafted` appends them and nothing has to be computed. What does not come is forgotten.
        """
        self._drop_draft()
        if draft:
            self._decode(self._batch_of(token, draft))
            self._drafted, self.output = [*draft], 0
        else:
            self._one[0] = token
            self._decode(self._one_batch)
        self.tokens.append(token)

    def take_drafted(self, token: int) -> bool:
        """Append a token that was drafted; False if another one was, or none."""
        if not self._drafted or self._drafted[0] != token:
            return False
        self.tokens.append(self._drafted.pop(0))
        self.output += 1
        return True

    def _batch_of(self, token: int, draft: Sequence[int]) -> C.llama_batch:
        batch, start = self._batch, len(self.tokens)
        batch.n_tokens = 1 + len(draft)
        for number, one in enumerate((token, *draft)):
            batch.token[number] = one
            batch.pos[number] = start + number
        return batch

    def _drop_draft(self) -> None:
        if self._drafted:
            self.keep(len(self.tokens))
        self.output = -1

    def settle(self) -> None:
        """Wait until what was begun is computed: on a GPU it goes on by itself, which a clock should not miss."""
        assert self.pointer is not None
        C.llama_synchronize(self.pointer)

    def _decode(self, batch: C.llama_batch) -> None:
        if self.halt.raised:
            raise Cancelled
        assert self.pointer is not None
        code = C.llama_decode(self.pointer, batch)
        if code == 0:
            return
        # What an aborted or failed call had already put into the cache goes out again.
        self.keep(len(self.tokens))
        if code == _ABORTED:
            raise Cancelled
        raise QwenError(f"llama.cpp failed to evaluate the text: {LOG.reason or f'code {code}'}")

    def state_size(self) -> int:
        """Bytes that `state` takes."""
        assert self.pointer is not None
        self._drop_draft()
        return C.llama_state_seq_get_size(self.pointer, _SEQUENCE)

    def state(self) -> memoryview:
        """All that the cache holds of `tokens`, as llama.cpp writes it."""
        assert self.pointer is not None
        data = (ctypes.c_uint8 * self.state_size())()
        written = C.llama_state_seq_get_data(self.pointer, data, len(data), _SEQUENCE)
        return memoryview(data).cast("B")[:written]

    def restore(self, tokens: Sequence[int], state: memoryview) -> bool:
        """Put a state into the cache that `state` gave for `tokens`; False, and nothing in it, if it does not fit."""
        assert self.pointer is not None
        self.keep(0)
        if len(tokens) > self.size:
            return False
        data = (ctypes.c_uint8 * len(state)).from_buffer(state)
        if C.llama_state_seq_set_data(self.pointer, data, len(state), _SEQUENCE):
            self.tokens = [*tokens]
        else:
            self.keep(0)
        return bool(self.tokens)

    def computes(self) -> bool:
        """Whether the last logits are numbers; damaged weights give NaN, on which sampling would abort."""
        assert self.pointer is not None
        logits = C.llama_get_logits_ith(self.pointer, -1)
        return bool(logits) and logits[0] == logits[0]

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self.pointer is not None:
            C.llama_batch_free(self._batch)
            C.llama_free(self.pointer)
            self.pointer = None


def _batch_with_all_outputs(size: int) -> C.llama_batch:
    batch = C.llama_batch_init(size, 0, 1)
    for number in range(size):
        batch.n_seq_id[number] = 1
        batch.seq_id[number][0] = 0
        batch.logits[number] = 1
    return batch


def _refusal(placement: Placement) -> QwenError:
    reason = LOG.reason or "llama.cpp gives no reason"
    if LOG.out_of_memory:
        message = f"there is not enough memory for a context of {placement.context_size:,} tokens: {reason}"
        return NotEnough(message, "give a smaller `--ctx`, or a smaller `--kv-type` such as `q8_0`")
    if placement.kv_type not in ("f32", "f16", "bf16"):
        message = f"this model cannot use the KV type `{placement.kv_type}`: {reason}"
        return UsageError(message, "leave `--kv-type` at `f16`")
    return InvalidFile(f"llama.cpp cannot make a context for this model: {reason}")
