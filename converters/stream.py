"""Carries out a plan: pieces of rows, converted by a few threads, each written where it belongs.

Memory is a few small buffers per thread and a window of waiting pieces, whatever the size of the model.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from converters.errors import CheckpointError, OutputError
from converters.plan import Plan, PlannedTensor
from converters.quantize import Fault, Floats, Quantizer, find_fault, survives_nonfinite
from converters.rows import RowReader
from converters.sources import SourceRows
from converters.writer import OutputFile, check_target

if TYPE_CHECKING:
    from converters import Progress

PIECE_ELEMENTS: Final = 1 << 18
_PIECES_PER_THREAD: Final = 4


@dataclass(frozen=True, slots=True)
class _Piece:
    """`count` rows of a part of a tensor, from row `first` on, and where their bytes go in the file."""

    tensor: PlannedTensor
    part: int
    first: int
    count: int
    target: int
    nbytes: int

    @property
    def rows(self) -> SourceRows:
        return self.tensor.parts[self.part]


def write_plan(
    plan: Plan, output: Path, threads: int | None, progress: Callable[[Progress], None] | None
) -> list[str]:
    """Writes the planned file to `output`; returns notices. Raises OutputError, or CheckpointError for weights."""
    check_output(plan, output)
    workers = max(1, threads or os.cpu_count() or 1)
    with OutputFile(output, plan.size) as file:
        file.write(plan.header, 0)
        line = _Line(plan)

        def carry(piece: _Piece) -> _Piece:
            file.write(line.converted(piece), piece.target)
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
    return line.notices()


def check_output(plan: Plan, output: Path) -> None:
    """OutputError for a place that the file could never be written to, or where it would cost what it is made of."""
    target = os.path.realpath(output)
    inputs = {os.path.realpath(file.path): "a file of the checkpoint or the adapter" for file in plan.files}
    if plan.imatrix is not None:
        inputs[os.path.realpath(plan.imatrix.path)] = "the importance matrix"
    if target in inputs:
        raise OutputError(f"`{output}` is {inputs[target]}", hint="give another name with -o")
    check_target(Path(target))


class _Line:
    """What happens to a piece between the checkpoint and the file; serves all threads."""

    def __init__(self, plan: Plan) -> None:
        self._reader = RowReader(plan.files)
        self._quantizer = Quantizer()
        self._imatrix = plan.imatrix
        self._allow_nonfinite = plan.allow_nonfinite
        self._faulty: dict[str, Fault] = {}

    def converted(self, piece: _Piece) -> memoryview:
        """The bytes of the piece; valid until the same thread's next call."""
        kind, columns = piece.tensor.placed.kind, piece.rows.columns
        floats = self._reader.read(piece.rows, piece.first, piece.count)
        fault = find_fault(floats, kind)
        if fault is not None:
            self._tolerate(piece, fault)
        data = self._quantizer.convert(floats, columns, kind, self._importance(piece))
        if fault is None and self._quantizer.overflows(floats, data, kind):
            self._tolerate(piece, Fault.TOO_LARGE)
        return data.data

    def notices(self) -> list[str]:
        """What was let through."""
        return [
            f"`{name}` holds weights that are {fault.value}: the model may answer nonsense"
            for name, fault in sorted(self._faulty.items())
        ]

    def _importance(self, piece: _Piece) -> Floats | None:
        if self._imatrix is None or not piece.tensor.weighted:
            return None
        return self._imatrix.weights(piece.tensor.placed.name, piece.part, piece.rows.columns)

    def _tolerate(self, piece: _Piece, fault: Fault) -> None:
        """Remembers it if it is allowed; CheckpointError otherwise."""
        kind, source = piece.tensor.placed.kind, piece.rows.tensor
        where = f"tensor `{source.name}` of `{source.path}`"
        where += ", with the adapter merged," if piece.rows.deltas else ""
        if fault is Fault.TOO_LARGE and not self._allow_nonfinite:
            hint = "convert to bf16 or f32, or let them be infinite with --allow-nonfinite"
            raise CheckpointError(f"{where} has weights that are too large for {kind.name}", hint=hint)
        if not self._allow_nonfinite:
            hint = (
                "the training went wrong or the file is damaged; --allow-nonfinite converts it all the same"
            )
            raise CheckpointError(f"{where} holds {fault.value}", hint=hint)
        if not survives_nonfinite(kind):
            message = f"{where} holds weights that are {fault.value}, which {kind.name} cannot take at all"
            raise CheckpointError(message, hint="choose another quantization")
        self._faulty[piece.tensor.placed.name] = fault


def _pieces(plan: Plan) -> Iterator[_Piece]:
    """The whole file in writing order, cut at row borders and between parts."""
    for tensor in plan.tensors:
        placed = tensor.placed
        columns = placed.shape[-1]
        step = max(1, PIECE_ELEMENTS // columns)
        target = len(plan.header) + placed.offset
        for part, rows in enumerate(tensor.parts):
            for first in range(0, rows.count, step):
                count = min(step, rows.count - first)
                nbytes = placed.kind.row_bytes(count * columns)
                yield _Piece(tensor, part, first, count, target, nbytes)
                target += nbytes


class _Report:
    """Turns written pieces into Progress."""

    def __init__(self, plan: Plan, progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self._total = plan.tensor_bytes
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
