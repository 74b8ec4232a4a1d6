"""Which quantization of a model suits a machine: what fits, how long a context, what the GPU takes, how fast.

A model fits when its weights, its cache and its buffers do: in main memory, but for what the GPUs can take of it.
Figures only; machines.py, sizes.py and offload.py bring them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwen3cli.models.catalog import FAMILY, Member
from qwen3cli.models.fit import NATIVE_CONTEXT, SMALLEST_CONTEXT
from qwen3cli.models.machines import Machine
from qwen3cli.models.needs import Needs
from qwen3cli.models.offload import Split, by_experts, by_layers
from qwen3cli.models.sizes import needs_of_member

QUALITY = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
"""The quantizations to choose from, best answers first."""
GOOD = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS")
"""Below four bits answers get so much worse that a smaller model may be the better one."""

_USUAL_CONTEXTS = tuple(SMALLEST_CONTEXT << doublings for doublings in reversed(range(8)))


@dataclass(frozen=True)
class Choice:
    """A quantization on a machine, with a context of `context` tokens.

    `split` is how whole layers lie where there is a GPU with memory of its own, `apart` how a mixture lies some of
    whose experts stay behind. `longest` is the longest of the usual contexts that fits, 0 for none.
    """

    needs: Needs
    context: int
    kv_type: str
    split: Split | None
    apart: Split | None
    fits: bool
    longest: int

    @property
    def total(self) -> int:
        """Bytes in both memories together."""
        return self.needs.total(self.context, self.kv_type)

    @property
    def time(self) -> float:
        """How long a token takes, in bytes read from main memory."""
        return self.split.time if self.split else self.needs.weights.read


@dataclass(frozen=True)
class Plan:
    """What becomes of each quantization, as ordered by who asked; `best` is None where none fits at all."""

    choices: tuple[Choice, ...]
    best: Choice | None


def make_plan(models: Sequence[Needs], machine: Machine, context: int, kv_type: str = "f16") -> Plan:
    """A plan for quantizations of one model, best answers first."""
    choices = tuple(_choice(needs, machine, context, kv_type) for needs in models)
    return Plan(choices, _best(choices))


def needs_of_family(member: Member) -> list[Needs]:
    """The member in every quantization of `QUALITY`."""
    return [needs_of_member(member, name) for name in QUALITY]


def smaller_member(member: Member, machine: Machine, context: int) -> tuple[Member, Choice] | None:
    """The largest smaller member of the same kind that fits in a good quantization, and the best one of these."""
    alike = [m for m in FAMILY.values() if (m.thinking, m.base) == (member.thinking, member.base)]
    sizes = {other: needs_of_member(other, QUALITY[0]).total(context) for other in alike}
    smaller = [other for other in alike if sizes[other] < sizes[member]]
    for other in sorted(smaller, key=sizes.__getitem__, reverse=True):
        best = make_plan(needs_of_family(other), machine, context).best
        if best is not None and best.fits and best.needs.quantization in GOOD:
            return other, best
    return None


def _choice(needs: Needs, machine: Machine, context: int, kv_type: str) -> Choice:
    room = machine.gpu_room
    split = by_layers(needs, context, kv_type, room) if machine.gpus else None
    apart = by_experts(needs, context, kv_type, room) if machine.gpus else None
    fits = _fits(needs, machine, context, kv_type)
    longest = next((size for size in _contexts(needs) if _fits(needs, machine, size, kv_type)), 0)
    return Choice(needs, context, kv_type, split, apart, fits, longest)


def _contexts(needs: Needs) -> list[int]:
    """The usual contexts that the model was made for, the longest first."""
    native = needs.context or NATIVE_CONTEXT
    return [size for size in _USUAL_CONTEXTS if size <= native] or [native]


def _fits(needs: Needs, machine: Machine, context: int, kv_type: str) -> bool:
    if not machine.gpus:
        return needs.total(context, kv_type) <= machine.usable
    return by_layers(needs, context, kv_type, machine.gpu_room).main <= machine.usable


def _best(choices: Sequence[Choice]) -> Choice | None:
    """The best answers of what is good and wholly on the GPU; else of what fits, if need be in a short context."""
    fitting = [choice for choice in choices if choice.fits]
    fast = [c for c in fitting if c.split and c.split.whole and c.needs.quantization in GOOD]
    short = sorted((c for c in choices if c.longest), key=lambda choice: -choice.longest)
    return next(iter(fast or fitting or short), None)
