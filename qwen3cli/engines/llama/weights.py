"""The weights of a model: loading them, what their header says, freeing them.

Knows nothing of contexts and generations.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as C

from qwen3cli.engines.llama.library import LOG, expect
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.errors import Interrupted, InvalidFile, NotEnough, QwenError
from qwen3cli.machine import Placement


class Weights:
    """A loaded model file."""

    def __init__(
        self,
        path: Path,
        placement: Placement,
        progress: Callable[[float], None],
        stop: threading.Event,
    ) -> None:
        """Load; `progress` gets 0 to 1 in the loading thread, and a set `stop` ends it with `Interrupted`."""
        params = C.llama_model_default_params()
        params.n_gpu_layers = -1 if placement.gpu_layers is None else placement.gpu_layers
        # AUTO maps the file unless a device does better without.
        params.load_mode = C.LLAMA_LOAD_MODE_AUTO if placement.use_mmap else C.LLAMA_LOAD_MODE_NONE

        def report(fraction: float, _data: Any) -> bool:
            progress(fraction)
            return not stop.is_set()

        params.use_extra_bufts = placement.repack
        overrides = _experts_in_main_memory(placement.cpu_moe)
        if placement.cpu_moe:
            # The bindings have no type for it, and declare an address.
            params.tensor_buft_overrides = ctypes.addressof(overrides)  # pyright: ignore[reportAttributeAccessIssue]
        params.progress_callback = C.llama_progress_callback(report)
        LOG.clear()
        pointer = C.llama_model_load_from_file(os.fsencode(path), params)
        if not pointer:
            raise Interrupted("loading was interrupted") if stop.is_set() else _refusal(path)
        self.pointer: C.llama_model_p | None = pointer
        if C.llama_model_has_encoder(pointer) or C.llama_model_is_diffusion(pointer):
            self.free()
            raise InvalidFile(f"`{path.name}` is a model of a kind that does not write text token by token")
        vocabulary = C.llama_vocab_p(expect(C.llama_model_get_vocab(pointer), "read the vocabulary"))
        self.vocabulary = Vocabulary(vocabulary, self.metadata("tokenizer.ggml.pre") or "")

    def metadata(self, key: str) -> str | None:
        """The value of a header key as text; None when the file does not have it."""
        assert self.pointer is not None
        room = 256
        while True:
            buffer: Any = ctypes.create_string_buffer(room)
            length = C.llama_model_meta_val_str(self.pointer, key.encode(), buffer, room)
            if length < room:
                return None if length < 0 else buffer.value.decode("utf-8", "replace")
            room = length + 1

    @property
    def stretches_itself(self) -> bool:
        """Whether the file says how its positions are scaled."""
        kind = self.metadata(f"{self.metadata('general.architecture')}.rope.scaling.type")
        return kind not in (None, "none")

    @property
    def chat_template(self) -> str | None:
        """The model's own Jinja template."""
        assert self.pointer is not None
        source = C.llama_model_chat_template(self.pointer, None)
        return source.decode("utf-8", "replace") if source else None

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self.pointer is not None:
            C.llama_model_free(self.pointer)
            self.pointer = None


class _Override(ctypes.Structure):
    """`llama_model_tensor_buft_override` of llama.h: where the tensors lie whose names match."""

    _fields_ = [("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p)]


def _experts_in_main_memory(layers: int) -> ctypes.Array[_Override]:
    """For the experts of the first `layers` layers, and the end of the list."""
    main = C._lib.ggml_backend_cpu_buffer_type  # pyright: ignore[reportPrivateUsage]
    main.restype = ctypes.c_void_p
    names = [rf"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps".encode() for layer in range(layers)]
    return (_Override * (layers + 1))(*((name, main()) for name in names))


def _refusal(path: Path) -> QwenError:
    reason = LOG.reason or "llama.cpp gives no reason"
    if LOG.out_of_memory:
        hint = "close other programs, or take a smaller model or quantization"
        return NotEnough(f"there is not enough memory for `{path.name}`: {reason}", hint)
    return InvalidFile(f"llama.cpp cannot load `{path}`: {reason}", "fetch or convert the model again")
