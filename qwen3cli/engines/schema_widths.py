"""How many ways llama.cpp has to follow at once in a grammar, at most, so that none takes it for ever.

Ways that begin alike are followed side by side until one of them is left, and each may lead to rules that have
such ways again: a schema of ten lines can come to millions, within four characters. It is a count from above: ways are
told apart by the characters that they begin with, whatever rules these are in, and not by those further on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from qwen3cli.engines.schema_items import Chars, Item, Literal, Ref, Repeat, Unsupported, Way, target_of

MOST_WAYS = 12_000
"""llama.cpp compares each with all others: a character takes up to a tenth of a second with so many."""
_LONGEST = 100
_LARGE = 100
RuleSet = Mapping[int, tuple[Way, ...]]


def refuse_wide(rules: RuleSet, root: int, empty: set[int]) -> None:
    """Raise `Unsupported` where more ways have to be followed at once than can be; no left recursion."""
    if _Widths(rules, empty).of(root) > MOST_WAYS:
        raise Unsupported("it has too many ways that begin alike")


@dataclass
class _Node:
    """A place that beginnings lead to: the ways that are told apart no further, and the most on a path from here on."""

    here: int = 0
    below: int = 0
    size: int = 1
    longer: dict[str, _Node] = field(default_factory=dict[str, "_Node"])

    def put(self, text: str, ways: int) -> None:
        """Add ways that begin with a text."""
        path: list[_Node] = [self]
        for character in text:
            if character not in path[-1].longer:
                path[-1].longer[character] = _Node()
                self.size += 1
            path.append(path[-1].longer[character])
        path[-1].here += ways
        for node, longer in zip(path[-2::-1], path[:0:-1], strict=True):
            node.below = max(node.below, longer.here + longer.below)

    def join(self, other: _Node) -> _Node:
        """Add all of another one."""
        work = [("", other)]
        while work:
            text, node = work.pop()
            if node.here:
                self.put(text, node.here)
            work += [(text + character, longer) for character, longer in node.longer.items()]
        return self


class _Widths:
    """The counts of one grammar; a rule within itself counts as one way, for its loop has no two that begin alike."""

    def __init__(self, rules: RuleSet, empty: set[int]) -> None:
        self._rules = rules
        self._empty = empty
        self._known: dict[int, int] = {}
        self._starts: dict[int, int] = {}
        self._begins: dict[int, _Node] = {}

    def of(self, root: int) -> int:
        """The most ways at once in a rule and all that it refers to."""
        work = [(root, False)]
        begun: set[int] = set()
        while work:
            number, left = work.pop()
            if left:
                self._known[number] = self._in_rule(number)
            elif number not in begun:
                begun.add(number)
                work.append((number, True))
                work += [
                    (target, False)
                    for way in self._rules[number]
                    for item in way
                    if (target := target_of(item)) is not None
                ]
        return max(self._known.values())

    def _in_rule(self, number: int) -> int:
        rule = self._rules[number]
        self._starts[number] = sum(map(self._start, rule))
        if len(rule) == 1:
            # What it begins with is written out where it is referred to.
            return max(self._in_way(rule[0]), self._starts[number])
        self._begins[number] = tree = self._tree_of(rule)
        return max(tree.here + tree.below, self._starts[number])

    def _start(self, way: Way) -> int:
        """How many ways there are before the first character."""
        count = 0
        for item in way:
            count += self._starts.get(target, 1) if (target := target_of(item)) is not None else 1
            if not self._may_be_empty(item):
                break
        return count

    def _tree_of(self, rule: Sequence[Way]) -> _Node:
        """The ways by what they begin with, those of a rule that is one of them by itself included."""
        inner = [self._begins[way[0].number] for way in rule if self._is_known_rule(way)]
        tree = max(inner, key=lambda each: each.size, default=_Node())
        if tree.size < _LARGE:
            tree = _Node()
        # A large one grows, for whom it belonged to as well: a count from above, without a copy for each property.
        for way in rule:
            if not self._is_known_rule(way):
                tree.put(self._begin(way), self._in_way(way))
            elif (other := self._begins[way[0].number]) is not tree:
                tree.join(other)
        return tree

    def _is_known_rule(self, way: Way) -> TypeGuard[tuple[Ref]]:
        return len(way) == 1 and isinstance(way[0], Ref) and way[0].number in self._begins

    def _begin(self, way: Way) -> str:
        """The characters that a way has to begin with."""
        found = ""
        items = list(reversed(way))
        while items and len(found) < _LONGEST:
            item = items.pop()
            if isinstance(item, Literal):
                found += item.text
            elif isinstance(item, Chars) and len(item.ranges) == 1 and item.ranges[0][0] == item.ranges[0][1]:
                found += chr(item.ranges[0][0])
            elif isinstance(item, Ref) and item.number in self._known and len(self._rules[item.number]) == 1:
                items += reversed(self._rules[item.number][0])
            else:
                break
        return found[:_LONGEST]

    def _in_way(self, way: Way) -> int:
        """The most ways at once within one way: what may be left out, or go on, stands beside what follows it."""
        most, run = 1, 0
        for item in way:
            run += self._known.get(target, 1) if (target := target_of(item)) is not None else 1
            most = max(most, run)
            if not (self._may_be_empty(item) or (isinstance(item, Repeat) and item.low != item.high)):
                run = 0
        return most

    def _may_be_empty(self, item: Item) -> bool:
        if isinstance(item, Literal):
            return not item.text
        return (isinstance(item, Repeat) and item.low == 0) or target_of(item) in self._empty
