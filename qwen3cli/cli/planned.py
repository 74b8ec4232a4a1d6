"""A plan as people read it, the answer before the table that it comes from; and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from qwen3cli.models.catalog import Member
from qwen3cli.models.machines import Machine
from qwen3cli.models.needs import Needs
from qwen3cli.models.offload import GPU_SPEED, Split
from qwen3cli.models.plan import GOOD, QUALITY, Choice, Plan, make_plan, smaller_member
from qwen3cli.models.sizes import needs_of_member, wants_imatrix
from qwen3cli.models.variants import PREFERRED
from qwen3cli.terminal.console import Console
from qwen3cli.terminal.figures import size
from qwen3cli.terminal.wrap import hang

_REFERENCE = QUALITY[0]
_SMALL_CACHE = "q8_0"


@dataclass(frozen=True)
class Subject:
    """What is planned: a `member` of the family, or without it the one file of that name.

    `compared` is the member whose file that is, so that its quantizations can be compared.
    """

    name: str
    models: tuple[Needs, ...]
    member: Member | None = None
    compared: Member | None = None

    @property
    def title(self) -> str:
        """What a person calls it."""
        return self.member.repository.split("/")[1] if self.member else f"`{self.name}`"

    @cached_property
    def reference(self) -> int:
        """Bytes that a token reads where the speed is 1."""
        needs = needs_of_member(self.member, _REFERENCE) if self.member else self.models[0]
        return needs.weights.read


@dataclass(frozen=True)
class Planned:
    """A subject on a machine with a context, and what came out.

    `with_small_cache` is the plan with the KV cache at 8 bits; `smaller` a member that fits where this one does not
    or only in a quantization that harms it.
    """

    subject: Subject
    machine: Machine
    context: int
    plan: Plan
    with_small_cache: Plan
    smaller: tuple[Member, Choice] | None

    @classmethod
    def of(cls, subject: Subject, machine: Machine, context: int) -> Planned:
        """Plan it, and look for a way out where nothing good fits."""
        plan = make_plan(subject.models, machine, context)
        small_cache = make_plan(subject.models, machine, context, _SMALL_CACHE)
        good = plan.best is not None and plan.best.fits and plan.best.needs.quantization in GOOD
        smaller = None if good or not subject.member else smaller_member(subject.member, machine, context)
        return cls(subject, machine, context, plan, small_cache, smaller)

    def show(self, console: Console) -> None:
        """Write it to stdout, for a person."""
        _write(console, [f"{self.subject.title} {_place(self.machine)}", "", *self._answer(), ""])
        rows, header = self._table()
        if not console.fits(rows, header):
            rows, header = self._table(narrow=True)
        console.table(rows, header, right=range(1, len(header)))
        _write(console, ["", *self._legend()])

    def _table(self, *, narrow: bool = False) -> tuple[list[list[str]], list[str]]:
        """Rows and header; a narrow one fits 40 columns."""
        rows = [self._row(choice, narrow=narrow) for choice in self.plan.choices]
        file = [] if narrow else ["FILE"]
        layers = ["GPU" if narrow else "GPU LAYERS"] if self.machine.gpus else []
        return rows, ["TYPE", *file, "MEMORY", *layers, "SPEED", "CONTEXT"]

    def as_json(self) -> dict[str, Any]:
        """The same for scripts; memory in bytes."""
        machine, best, small = self.machine, self.plan.best, self.with_small_cache.best
        return {
            "model": self.subject.name,
            "context": self.context,
            "machine": {
                "memory_bytes": machine.total,
                "usable_bytes": machine.usable,
                "free_bytes": machine.free,
                "gpu_bytes": list(machine.gpus),
                "gpu_shares_memory": machine.shared,
            },
            "choices": [self._choice_json(choice) for choice in self.plan.choices],
            "best": best and best.needs.quantization,
            "best_with_q8_0_cache": small and small.needs.quantization,
            "smaller": self.smaller and self.smaller[0].name,
        }

    def _choice_json(self, choice: Choice) -> dict[str, Any]:
        needs = choice.needs
        return {
            "quantization": needs.quantization,
            "file_bytes": needs.file_bytes,
            "weights_bytes": needs.weights.total,
            "kv_bytes": needs.buffers.cache(choice.context, choice.kv_type),
            "compute_bytes": needs.buffers.compute(choice.context),
            "total_bytes": choice.total,
            "fits": choice.fits,
            "longest_context": choice.longest,
            "speed": round(self._speed(choice.time), 2),
            "gpu": choice.split and self._split_json(choice.split),
            "gpu_experts_apart": choice.apart and self._split_json(choice.apart),
        }

    def _split_json(self, split: Split) -> dict[str, Any]:
        return {
            "layers": split.layers,
            "of": split.all_layers,
            "experts_left": split.experts_left,
            "gpu_bytes": split.gpu,
            "main_bytes": split.main,
            "speed": round(self._speed(split.time), 2),
        }

    def _row(self, choice: Choice, *, narrow: bool) -> list[str]:
        layers = [_layers(choice.split, "/" if narrow else " of ")] if choice.split else []
        context = f"{choice.longest:,}" if choice.longest else "too large"
        needs = choice.needs
        sizes = [size(choice.total)] if narrow else [size(needs.file_bytes), size(choice.total)]
        return [needs.quantization, *sizes, *layers, _times(self._speed(choice.time)), context]

    def _speed(self, time: float) -> float:
        return self.subject.reference / time

    def _answer(self) -> Iterator[str]:
        best = self.plan.best
        alone = len(self.plan.choices) == 1
        if best is None:
            least = min(self.plan.choices, key=lambda choice: choice.total)
            refusal = "It does not fit" if alone else "Nothing fits"
            yield f"{refusal}: {least.needs.quantization} needs {size(least.total)}."
        elif not best.fits:
            shorter = f"{best.needs.quantization} does with {best.longest:,}"
            yield f"{'It does not fit' if alone else 'None fits'} with {self.context:,} tokens of context: {shorter}."
        else:
            needed = f"{size(best.total)} with {self.context:,} tokens of context"
            speed = self._how_fast(best)
            yield f"{'It fits' if alone else 'Best that fits'}: {best.needs.quantization}, {needed}{speed}."
            yield from self._on_gpu(best)
        yield from self._ways_out()
        if best is not None and best.fits:
            yield from self._next(best)

    def _how_fast(self, best: Choice) -> str:
        if not best.split and (not self.subject.member or best.needs.quantization == _REFERENCE):
            return ""
        return f", about {_times(self._speed(best.time))} as fast as {self._against()}"

    def _against(self) -> str:
        name = _REFERENCE if self.subject.member else "all of it"
        return f"{name} in main memory" if self.machine.gpus or not self.subject.member else name

    def _on_gpu(self, best: Choice) -> Iterator[str]:
        split, apart = best.split, best.apart
        if split is None:
            return
        if split.whole:
            yield f"All layers fit the GPU: {size(split.gpu)} there."
        else:
            where = f"{size(split.gpu)} there, {size(split.main)} in main memory"
            yield f"On the GPU: {_layers(split)} layers, `--gpu-layers {split.layers}`; {where}."
        if apart is not None and apart.time < split.time:
            stay = f"the experts of {apart.experts_left} layers in main memory"
            yield (
                f"Faster, about {_times(self._speed(apart.time))}, and what `qwen3 chat` does by itself, is {stay}"
                f" and all else on the GPU ({size(apart.gpu)}): `--n-cpu-moe {apart.experts_left}`."
            )

    def _ways_out(self) -> Iterator[str]:
        better = self.with_small_cache.best
        if better is not None and better.fits and self._is_better(better):
            yield f"With `--kv-type {_SMALL_CACHE}` {better.needs.quantization} fits, too: {size(better.total)}."
        if self.smaller is not None:
            member, choice = self.smaller
            fits = f"{member.repository.split('/')[1]} fits in {choice.needs.quantization}"
            best = self.plan.best
            why = ", and may answer better than this one in so few bits" if best and best.fits else ""
            yield f"{fits}{why}: `qwen3 plan {member.name}`."

    def _is_better(self, choice: Choice) -> bool:
        best = self.plan.best
        if best is None or not best.fits:
            return True
        return choice.needs.weights.total > best.needs.weights.total

    def _next(self, best: Choice) -> Iterator[str]:
        free = self.machine.free
        if free is not None and not self.machine.gpus and best.total > free:
            yield f"Only {size(free)} are free now: close other programs before you run it."
        if self.subject.compared is not None:
            yield f"`qwen3 plan {self.subject.compared.repository}` compares its quantizations."
        if self.subject.member is not None:
            yield self._pull(self.subject.member, best.needs.quantization)

    def _pull(self, member: Member, quantization: str) -> str:
        if quantization in PREFERRED and not member.lacks(quantization):
            return f"`qwen3 pull {member.name}:{quantization.lower()}` fetches it."
        kind = quantization.lower()
        if wants_imatrix(quantization, member):
            wishes = f"-q {kind} --imatrix FILE --as NAME"
            return f"`qwen3 convert {member.repository} {wishes}` makes it, given an importance matrix."
        return f"`qwen3 pull {member.name} -q {kind}` makes it from the checkpoint."

    def _legend(self) -> Iterator[str]:
        yield (
            f"MEMORY: weights, KV cache and buffers with {self.context:,} tokens of context."
            " CONTEXT: the longest usual one that fits."
        )
        gpu = f", and counts a GPU's memory as {GPU_SPEED} times as fast" if self.machine.gpus else ""
        experts = " (of experts those it uses)" if self.plan.choices[0].needs.weights.has_experts else ""
        yield (
            f"SPEED: about, against {self._against()}; reckoned from what each token reads of the"
            f" weights{experts}{gpu}."
        )


def _write(console: Console, lines: list[str]) -> None:
    for line in lines:
        text = hang(line, console.width, 0) if console.stdout_is_terminal else line
        console.result(text + "\n")


def _place(machine: Machine) -> str:
    where = "on this machine:" if machine.free is not None else "on a machine with"
    gpu = "no GPU"
    if machine.gpus:
        gpu = f"GPU{'s' if len(machine.gpus) > 1 else ''} with {' + '.join(map(size, machine.gpus))}"
    elif machine.shared:
        gpu = "a GPU that shares it"
    return f"{where} {size(machine.total)} of memory, {size(machine.usable)} of it for a model; {gpu}"


def _layers(split: Split, of: str = " of ") -> str:
    if split.whole:
        return "all"
    return f"{split.layers}{of}{split.all_layers}"


def _times(speed: float) -> str:
    return f"{speed:.1f}x" if speed < 9.95 else f"{speed:.0f}x"
