"""Rules that refer to themselves in two ways that begin alike: sorted out, or refused.

llama.cpp follows all ways at once. Two ways that go through the same loop and look the same until they leave it
double what it keeps with every turn, until the process has no memory left. What such ways begin with is shared here:
the loop is then in what they share. Where that cannot be, the rules are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from qwen3cli.engines.schema_items import (
    Chars,
    Item,
    Literal,
    Marker,
    Ranges,
    Ref,
    Repeat,
    Unsupported,
    Way,
    target_of,
)

_MOST_STEPS = 20_000
RuleSet = dict[int, tuple[Way, ...]]
_REFUSAL = "it refers to itself in two ways that begin alike"


def untangle(rules: RuleSet, empty: set[int]) -> RuleSet:
    """The same rules, or others that say the same; `empty` are those that match nothing, too. No left recursion."""
    tangles = _Tangles(rules, empty)
    for number in [*tangles.loops]:
        if tangles.has(rules[number], tangles.loops[number]):
            rules[number] = tangles.sorted_out(rules[number], tangles.loops[number])
    after = _Tangles(rules, empty) if tangles.steps else tangles
    for number, loop in after.loops.items():
        if after.has(rules[number], loop):
            raise Unsupported(_REFUSAL)
    return rules


class _Tangles:
    """Finds ways that begin alike and go through the same loop."""

    def __init__(self, rules: RuleSet, empty: set[int]) -> None:
        self.steps = 0
        self.loops = _loops(rules)
        self._rules = rules
        self._empty = empty
        self._known: dict[int, Ranges] = {}

    def has(self, ways: Sequence[Way], loop: int) -> bool:
        """Whether two of the ways are a tangle."""
        inside = [way for way in ways if self._is_in(way, loop)]
        return (
            any(self._is_tangle(group, loop) for group in self._alike(inside)) if len(inside) > 1 else False
        )

    def _is_tangle(self, ways: Sequence[Way], loop: int) -> bool:
        return sum(self._is_in(way, loop) for way in ways) > 1

    def _is_in(self, way: Way, loop: int) -> bool:
        """Whether a way goes through the loop."""
        return any(self.loops.get(target) == loop for item in way if (target := target_of(item)) is not None)

    def sorted_out(self, ways: Sequence[Way], loop: int) -> tuple[Way, ...]:
        """The ways with what they begin with shared, as far as that is needed and can be done."""
        found: list[Way] = []
        for group in self._alike(list(dict.fromkeys(map(_tidy, ways)))):
            self.steps += len(group)
            if self.steps > _MOST_STEPS:
                raise Unsupported(_REFUSAL)
            found += self._shared(group, loop) if self._is_tangle(group, loop) else group
        return tuple(dict.fromkeys(found))

    def _shared(self, ways: list[Way], loop: int) -> Sequence[Way]:
        heads = [way[0] for way in ways]
        if all(head == heads[0] for head in heads):
            return [(heads[0], *self._rest([way[1:] for way in ways], loop))]
        texts = [head.text for head in heads if isinstance(head, Literal)]
        if len(texts) == len(ways):
            shared = _beginning(min(texts), max(texts))
            rests = [(Literal(text[len(shared) :]), *way[1:]) for text, way in zip(texts, ways, strict=True)]
            return [(Literal(shared), *self._rest(rests, loop))]
        opened = [each for way in ways for each in self._opened(way)]
        return ways if opened == ways else self.sorted_out(opened, loop)

    def _opened(self, way: Way) -> Iterator[Way]:
        """The way with the rule it begins with written out."""
        if isinstance(way[0], Ref):
            yield from ((*each, *way[1:]) for each in self._rules[way[0].number])
        else:
            yield way

    def _rest(self, ways: list[Way], loop: int) -> Way:
        """What follows something shared: one rule."""
        number = max(self._rules) + 1
        self._rules[number] = ()
        self._rules[number] = rest = self.sorted_out(ways, loop)
        if not all(rest):
            self._empty.add(number)
        if any(self._is_in(way, loop) for way in rest):
            self.loops[number] = loop
        return (Ref(number),)

    def _alike(self, ways: Sequence[Way]) -> list[list[Way]]:
        """The ways in groups of those that may begin with the same character."""
        groups: list[tuple[Ranges, list[Way]]] = []
        for way in ways:
            begin = self._first(way)
            near = [group for group in groups if _meet(group[0], begin)]
            groups = [group for group in groups if not _meet(group[0], begin)]
            joined = [each for _, those in near for each in those]
            groups.append((sum((ranges for ranges, _ in near), begin), [*joined, way]))
        return [those for _, those in groups]

    def _first(self, way: Way) -> Ranges:
        found: Ranges = ()
        for item in way:
            inner = item.item if isinstance(item, Repeat) else item
            if isinstance(inner, Ref):
                found += self._first_of(inner.number)
            elif isinstance(inner, Chars):
                found += inner.ranges
            elif inner.text:
                found += ((ord(inner.text[0]), ord(inner.text[0])),)
            if not self._may_be_empty(item):
                break
        return found

    def _first_of(self, number: int) -> Ranges:
        if number not in self._known:
            self._known[number] = tuple({each for way in self._rules[number] for each in self._first(way)})
        return self._known[number]

    def _may_be_empty(self, item: Item) -> bool:
        if isinstance(item, (Literal, Marker)):
            return not item.text
        return (isinstance(item, Repeat) and item.low == 0) or target_of(item) in self._empty


def _tidy(way: Way) -> Way:
    return tuple(item for item in way if not (isinstance(item, Literal) and not item.text))


def _beginning(first: str, last: str) -> str:
    """What both begin with, and so does every text that sorts between them."""
    ends = (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(ends, min(len(first), len(last)))]


def _meet(some: Ranges, others: Ranges) -> bool:
    return any(a <= d and c <= b for a, b in some for c, d in others)


def _loops(rules: Mapping[int, tuple[Way, ...]]) -> dict[int, int]:
    """The rules that come to themselves, each with the number of its loop (Kosaraju's components)."""
    nexts = {
        number: [target for way in rule for item in way if (target := target_of(item)) is not None]
        for number, rule in rules.items()
    }
    before: dict[int, list[int]] = {number: [] for number in rules}
    for number, targets in nexts.items():
        for target in targets:
            before[target].append(number)
    seen: set[int] = set()
    order = [number for root in rules for number in _after_all(root, nexts, seen)]
    seen = set()
    found: dict[int, int] = {}
    for root in reversed(order):
        members = _after_all(root, before, seen)
        if len(members) > 1 or root in nexts[root]:
            found.update(dict.fromkeys(members, root))
    return found


def _after_all(root: int, nexts: Mapping[int, list[int]], seen: set[int]) -> list[int]:
    """What is reached from `root` and was not seen before, each after all that is reached from it."""
    found: list[int] = []
    work = [(root, False)]
    while work:
        number, left = work.pop()
        if left:
            found.append(number)
        elif number not in seen:
            seen.add(number)
            work.append((number, True))
            work += [(target, False) for target in nexts[number]]
    return found
