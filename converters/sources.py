"""Values that say where the rows of a GGUF tensor come from, and what is done to them on the way."""

from __future__ import annotations

from dataclasses import dataclass

from converters.safetensors import SourceTensor


@dataclass(frozen=True, slots=True)
class BlockScale:
    """What the numbers of an FP8 tensor are to be multiplied with: one factor for `rows` × `columns` of them."""

    tensor: SourceTensor
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Delta:
    """A low-rank change of a matrix [out, in]: `factor` · B · A, with A [r, in] and B [out, r].

    For embeddings [tokens, width] PEFT trains A [r, tokens] and B [width, r]: there the product is transposed.
    """

    a: SourceTensor
    b: SourceTensor
    factor: float
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix that it changes."""
        out, inner = self.b.shape[0], self.a.shape[1]
        return (inner, out) if self.transposed else (out, inner)


@dataclass(frozen=True, slots=True)
class SourceRows:
    """`count` rows of a tensor from row `first` on; all leading dimensions together count rows."""

    tensor: SourceTensor
    first: int
    count: int
    scale: BlockScale | None = None
    deltas: tuple[Delta, ...] = ()

    @property
    def columns(self) -> int:
        """The length of a row."""
        return self.tensor.shape[-1]
