"""Which rules of our recipes the compared files put to the test: a table, and the rules that none does.

A rule counts as exercised by a file whose tensors would get other types without that rule: so a wrong one would
have shown. Reads shapes, no weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from converters import RECIPES, Overrides, Recipe, prepare
from converters.choose import EMBEDDING, OUTPUT, Chooser
from converters.recipes import FALLBACKS
from converters.rules import Traits
from tests.converters.cases import CASES
from tests.converters.checkpoints import Model, make_checkpoint

Named = list[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Compared:
    """A checkpoint, and how it was converted to files that were compared; `tensors` are names and shapes."""

    name: str
    model: Model
    tensors: Named
    recipes: tuple[str, ...]
    imatrix: bool = False
    overrides: Overrides = field(default_factory=Overrides)

    def kinds(self, recipe: Recipe) -> list[str]:
        """The type of each tensor."""
        ratio = self.model.heads // self.model.kv_heads
        traits = Traits(self.model.layers, ratio, self.model.experts, self.imatrix)
        tied = all(name != OUTPUT for name, _ in self.tensors)
        chooser = Chooser(recipe, traits, self.overrides, tied=tied)
        return [chooser.choose(name, shape).kind.name for name, shape in self.tensors]


@dataclass(frozen=True)
class _Item:
    """Something that a recipe says, and the recipe as it would be without."""

    recipe: Recipe
    text: str
    without: Recipe


def tensors_of(checkpoint: Path) -> Named:
    """Names and shapes of what a checkpoint becomes, in writing order."""
    return [(one.placed.name, one.placed.shape) for one in prepare(checkpoint, "BF16").tensors]


def golden_cases(folder: Path) -> Iterator[Compared]:
    """What the golden file holds, which was made by llama.cpp's tools and is compared by `make test`."""
    for key, case in CASES.items():
        tensors = tensors_of(make_checkpoint(folder / key / case.folder, case.model))
        overrides = Overrides.parse(case.tensors, output=case.output, embedding=case.embedding)
        has_imatrix = case.imatrix is not None
        yield Compared(f"golden {key}", case.model, tensors, tuple(case.types), has_imatrix, overrides)


def print_coverage(compared: Iterable[Compared]) -> bool:
    """Prints a line per rule with the first file that exercises it; whether every rule has one."""
    files = list(compared)
    uncovered: list[str] = []
    idle: list[str] = []
    count = 0
    for recipe in RECIPES.values():
        print(f"  {recipe.name}: {recipe.default.name}")
        mine = [(one, one.kinds(recipe)) for one in files if recipe.name in one.recipes]
        for item in _items(recipe):
            found = [one.name for one, kinds in mine if one.kinds(item.without) != kinds]
            if found:
                count += 1
                further = f" and {len(found) - 1} more" if len(found) > 1 else ""
                print(f"    {item.text:44} {found[0]}{further}")
            else:
                (uncovered if _can_matter(item) else idle).append(f"{recipe.name}: {item.text}")
    uncovered += _uncovered_fallbacks(files)
    print(f"  {count} rules are exercised; without any effect whatever the model: {len(idle)}")
    print("".join(f"    {text}\n" for text in idle), end="")
    for text in uncovered:
        print(f"  NOT exercised: {text}")
    return not uncovered


def _items(recipe: Recipe) -> Iterator[_Item]:
    """Every rule; and the types of output and embeddings, where they differ from the default."""
    for role, rules in recipe.rules.items():
        for number, rule in enumerate(rules):
            rest = (*rules[:number], *rules[number + 1 :])
            condition = rule.holds.__name__.strip("_").replace("_", " ")
            without = replace(recipe, rules={**recipe.rules, role: rest})
            yield _Item(recipe, f"{role} {rule.kind.name} ({condition})", without)
    if recipe.output is not recipe.default:
        text = f"output {recipe.output.name}"
        yield _Item(recipe, text, replace(recipe, output=recipe.default))
    if recipe.embedding is not recipe.default:
        text = f"untied embedding {recipe.embedding.name}"
        yield _Item(recipe, text, replace(recipe, embedding=recipe.default))


def _can_matter(item: _Item) -> bool:
    """Whether there is a model at all that the rule makes a difference to."""
    traits = product((8, 16, 40), (1, 4), (0, 4, 8), (False, True))
    for layers, ratio, experts, imatrix in traits:
        model = Model(layers=layers, heads=ratio, kv_heads=1, experts=experts)
        roles = {name.split(".")[0] for name in item.recipe.rules}
        suffix = "_exps" if experts else ""
        shapes: Named = [(EMBEDDING, (512, 256)), (OUTPUT, (512, 256))]
        for layer, role in product(range(layers), roles):
            name = f"{role}{suffix if role.startswith('ffn') else ''}"
            shapes.append((f"blk.{layer}.{name}.weight", (256, 256)))
        one = Compared("", model, shapes, (), imatrix)
        if one.kinds(item.recipe) != one.kinds(item.without):
            return True
    return False


def _uncovered_fallbacks(files: list[Compared]) -> list[str]:
    """Types that rows of an odd length take instead, as far as no compared file has them."""
    seen: set[tuple[str, str]] = set()
    for one in files:
        ratio = one.model.heads // one.model.kv_heads
        for recipe in (RECIPES[name] for name in one.recipes):
            traits = Traits(one.model.layers, ratio, one.model.experts, one.imatrix)
            tied = all(name != OUTPUT for name, _ in one.tensors)
            chooser = Chooser(recipe, traits, one.overrides, tied=tied)
            choices = [chooser.choose(name, shape) for name, shape in one.tensors]
            seen |= {(choice.wanted.name, choice.kind.name) for choice in choices}
    wanted = [pair for pair in FALLBACKS.items() if pair not in seen]
    print(
        f"  {len(FALLBACKS) - len(wanted)} of {len(FALLBACKS)} types that odd rows take instead are exercised"
    )
    return [f"{kind} where the rows are no multiple of {large}'s blocks" for large, kind in wanted]
