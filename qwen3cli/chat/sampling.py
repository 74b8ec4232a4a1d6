"""Sampling parameters and the presets of each mode."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from qwen3cli.errors import UsageError


@dataclass(frozen=True)
class Sampling:
    """One complete set; applied in the reference order: penalties, top_k, temperature, top_p, min_p, draw.

    `temperature` 0 is greedy decoding. `seed` None draws a new one each time.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    presence_penalty: float
    seed: int | None = None


THINKING = Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0.0, presence_penalty=0.0)
NON_THINKING = Sampling(temperature=0.7, top_p=0.8, top_k=20, min_p=0.0, presence_penalty=0.0)
QUANTIZED_PRESENCE = 1.5
"""The Qwen3 model cards strongly recommend it for quantized models, against endless repetition."""

_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 1_000_000),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "seed": (0, 2**32 - 2),
}


@dataclass(frozen=True)
class SamplingChoice:
    """What the user set; None keeps the preset of the mode."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            # `not (low <= value <= high)` also refuses NaN, which compares false with everything.
            if value is not None and not (low <= value <= high):
                raise UsageError(f"`{name}` must lie between {_figure(low)} and {_figure(high)}, not {value}")

    def with_text(self, name: str, text: str) -> SamplingChoice:
        """A copy with one parameter parsed from what a person typed; `default` goes back to the preset."""
        if name not in _RANGES:
            raise UsageError(f"there is no parameter `{name}`", f"the parameters are {', '.join(_RANGES)}")
        if text == "default":
            return replace(self, **{name: None})
        try:
            value = int(text) if name in ("top_k", "seed") else float(text)
        except ValueError:
            raise UsageError(f"`{text}` is no number that `{name}` could take") from None
        return replace(self, **{name: value})

    def resolve(self, *, thinking: bool, quantized: bool) -> Sampling:
        """The preset of the mode with the user's values on top."""
        preset = THINKING if thinking else NON_THINKING
        preset = replace(preset, presence_penalty=QUANTIZED_PRESENCE if quantized else 0.0)
        chosen = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return replace(preset, **chosen)


def _figure(value: float) -> str:
    """Whole numbers with all their digits: a seed may have ten."""
    return str(value) if isinstance(value, int) else f"{value:g}"
