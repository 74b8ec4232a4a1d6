"""Carries out a plan: pieces of rows, converted by a few threads, each written where it belongs.

Memory is two small buffers per thread and a window of waiting pieces, whatever the size of the model.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from converters.errors import OutputError
from converters.plan import Plan, PlannedTensor
from converters.quantize import Bytes, Quantizer
from converters.safetensors import SourceTensor
from converters.writer import OutputFile

if TYPE_CHECKING:
    from converters import Progress

_PIECE_ELEMENTS: Final = 1 << 18
_PIECES_PER_THREAD: Final = 4


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one source tensor, and where their bytes go in the file."""

    tensor: PlannedTensor
    source: SourceTensor
    begin: int
    end: int
    columns: int
    target: int
    nbytes: int


def write_plan(
    plan: Plan, output: Path, threads: int | None, progress: Callable[[Progress], None] | None
) -> list[str]:
    """Writes the planned file to `output`; returns notices. Raises OutputError."""
    if Path(os.path.realpath(output)) in {Path(os.path.realpath(path)) for path in plan.files}:
        raise OutputError(f"`{output}` is a file of the checkpoint", hint="give another name with -o")
    workers = max(1, threads or os.cpu_count() or 1)
    quantizer = Quantizer()
    with OutputFile(output, plan.size) as file:
        file.write(plan.header, 0)
        mapped = {path: source.map() for path, source in plan.files.items()}

        def carry(piece: _Piece) -> _Piece:
            raw: Bytes = mapped[piece.source.path][piece.begin : piece.end]
            converted = quantizer.convert(raw, piece.source.dtype, piece.columns, piece.tensor.placed.kind)
            file.write(converted.data, piece.target)
            return piece

        pool = ThreadPoolExecutor(workers, thread_name_prefix="convert")
        try:
            report = _Report(plan, progress)
            waiting: deque[Future[_Piece]] = deque()
            for piece in _pieces(plan):
                waiting.append(pool.submit(carry, piece))
                if len(waiting) >= workers * _PIECES_PER_THREAD:
                    report.add(waiting.popleft().result())
            while waiting:
                report.add(waiting.popleft().result())
        finally:
            # Nothing may write once the file is gone.
            pool.shutdown(wait=True, cancel_futures=True)
        file.commit()
    if quantizer.overflowed.is_set():
        return ["some weights are too large for F16 and became infinite; BF16 holds them"]
    return []


def _pieces(plan: Plan) -> Iterator[_Piece]:
    """The whole file in writing order, cut at row borders."""
    for tensor in plan.tensors:
        placed = tensor.placed
        columns = placed.shape[-1]
        step = max(1, _PIECE_ELEMENTS // columns)
        target = len(plan.header) + placed.offset
        for source in tensor.parts:
            rows = source.elements // columns
            row_bytes = source.nbytes // rows
            for first in range(0, rows, step):
                last = min(rows, first + step)
                begin, end = source.begin + first * row_bytes, source.begin + last * row_bytes
                nbytes = placed.kind.row_bytes((last - first) * columns)
                yield _Piece(tensor, source, begin, end, columns, target, nbytes)
                target += nbytes


class _Report:
    """Turns written pieces into Progress."""

    def __init__(self, plan: Plan, progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self._total = sum(tensor.placed.nbytes for tensor in plan.tensors)
        self._tensors = len(plan.tensors)
        self._done = 0
        self._tensors_done = 0
        self._left_in_tensor: dict[str, int] = {}

    def add(self, piece: _Piece) -> None:
        placed = piece.tensor.placed
        self._done += piece.nbytes
        left = self._left_in_tensor.get(placed.name, placed.nbytes) - piece.nbytes
        self._left_in_tensor[placed.name] = left
        if left == 0:
            self._tensors_done += 1
            del self._left_in_tensor[placed.name]
        if self._progress is not None:
            from converters import Progress

            self._progress(Progress(self._done, self._total, placed.name, self._tensors_done, self._tensors))
