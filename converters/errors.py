"""What can go wrong here. Each message is one sentence without a full stop; `hint` says what to do.

ConversionError          something the user can act on
├── CheckpointError      the folder that is converted: config, tokenizer, weights
├── HeaderError          a GGUF file that is not whole, not sane, or not GGUF
├── RecipeError          a quantization that does not exist or does not fit the model
├── ImatrixError         an importance matrix that is none, or belongs to another model
├── AdapterError         a LoRA adapter that cannot be merged into this model
└── OutputError          the file to be written: no room, no right, in use
"""

from __future__ import annotations


class ConversionError(Exception):
    """Anything that stops a conversion or the reading of a header."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        # Names out of hostile files stand in messages: whatever they hold, it stays one line.
        super().__init__("".join(letter if letter.isprintable() else "\ufffd" for letter in message))
        self.hint = hint


class CheckpointError(ConversionError):
    """A checkpoint that cannot be converted."""


class HeaderError(ConversionError):
    """A GGUF file that no reader should be given."""


class RecipeError(ConversionError):
    """A quantization that is unknown or that the weights do not allow."""


class ImatrixError(ConversionError):
    """An importance matrix that cannot be used."""


class AdapterError(ConversionError):
    """An adapter that cannot be merged."""


class OutputError(ConversionError):
    """The target cannot be written.

    `missing_bytes` is set when the disk is too full (0 where only the entry of a file has no room), `busy` when
    another conversion is writing it.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, missing_bytes: int | None = None, busy: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.missing_bytes = missing_bytes
        self.busy = busy
