"""llama.cpp itself: loaded once, its log kept here instead of on the terminal."""

from __future__ import annotations

import ctypes
import re
import sys
from collections import deque
from typing import Any

import llama_cpp.llama_cpp as C

from qwen3cli.errors import QwenError
from qwen3cli.machine import Device

_ERROR, _CONTINUED = 4, 5  # ggml.h; the comments in llama-cpp-python are a version behind
_OUT_OF_MEMORY = (
    "out of memory",
    "outofdevicememory",
    "failed to allocate",
    "unable to allocate",
    "bad_alloc",
    "cannot allocate memory",
)


class Log:
    """The last error lines of llama.cpp, oldest first; the native code calls `write` from any thread."""

    def __init__(self) -> None:
        self._errors: deque[str] = deque(maxlen=20)
        self._continues = False

    def write(self, level: int, text: bytes) -> None:
        """Keep one piece of log text if it belongs to an error."""
        line = text.decode("utf-8", "replace")
        if level == _ERROR:
            self._errors.append(line)
        elif level == _CONTINUED and self._continues:
            self._errors[-1] += line
        if level != _CONTINUED:
            self._continues = level == _ERROR

    def clear(self) -> None:
        """Forget what was logged, before something that may fail."""
        self._errors.clear()
        self._continues = False

    @property
    def reason(self) -> str | None:
        """The last error line that explains something: callers add `failed to load model` to what failed."""
        lines = [tidy(line) for line in reversed(self._errors)]
        telling = [line for line in lines if line not in ("failed to load model", "failed to create context")]
        return next(iter(telling or lines), None)

    @property
    def out_of_memory(self) -> bool:
        """Whether an allocation failed; llama.cpp tells it by its log only."""
        text = "".join(self._errors).lower()
        return any(sign in text for sign in _OUT_OF_MEMORY)


def tidy(line: str) -> str:
    """One log line as a clause of a sentence: no names of native functions, no full stop, no line end."""
    line = line.strip().rstrip(".")
    head, colon, tail = line.partition(": ")
    is_prefix = colon and tail and (head == "error loading model" or re.fullmatch(r"[\w:~]+", head))
    return tidy(tail) if is_prefix else line


LOG = Log()


@C.llama_log_callback
def _receive(level: int, text: bytes, _data: Any) -> None:
    LOG.write(level, text)


C.llama_log_set(_receive, ctypes.c_void_p(0))
C.llama_backend_init()


def native_strlen() -> Any:
    """libc's `strlen` as an abort callback.

    Called once per graph node; a Python function there would take the GIL each time. Its data is a
    two-byte buffer: empty goes on, one character stops (strlen's 0 and 1 read as false and true).
    """
    libc = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(libc.strlen, C.ggml_abort_callback)


def expect(pointer: int | None, what: str) -> int:
    """The native pointer, or our error where llama.cpp gave none."""
    if not pointer:
        raise QwenError(f"llama.cpp could not {what}: {LOG.reason or 'it gives no reason'}")
    return pointer


def build() -> str:
    """What the library says of its build; an older one says nothing."""
    texts: list[str] = []
    for name in ("ggml_version", "ggml_commit"):
        function = getattr(C._lib, name, None)  # pyright: ignore[reportPrivateUsage]
        if function is not None:
            function.restype, function.argtypes = ctypes.c_char_p, []
            texts.append(function().decode("utf-8", "replace"))
    return "ggml " + ", commit ".join(texts) if texts else "does not say"


def system_info() -> str:
    """The CPU features llama.cpp was built with and found here."""
    return C.llama_print_system_info().decode("utf-8", "replace").strip(" |\n")


_KINDS = {0: "CPU", 1: "GPU", 2: "integrated GPU", 3: "accelerator"}


def devices() -> list[Device]:
    """The devices llama.cpp sees, by ggml's own functions, which llama-cpp-python does not bind."""
    ggml = C._lib  # pyright: ignore[reportPrivateUsage]
    get, count = ggml.ggml_backend_dev_get, ggml.ggml_backend_dev_count
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    count.restype = ctypes.c_size_t
    return [_device(ggml, ctypes.c_void_p(get(number))) for number in range(count())]


def _device(ggml: Any, device: ctypes.c_void_p) -> Device:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    texts: list[str] = []
    for function in (ggml.ggml_backend_dev_name, ggml.ggml_backend_dev_description):
        function.restype = ctypes.c_char_p
        texts.append(function(device).decode("utf-8", "replace"))
    kind = _KINDS.get(ggml.ggml_backend_dev_type(device), "other")
    return Device(texts[0], texts[1], kind, free.value, total.value)
