"""Rules of a grammar, put together in Python and written as llama.cpp's GBNF.

Knows nothing of JSON. Before it is written a grammar is checked for what llama.cpp would take badly: it finds left
recursion by a search that can take exponential time, follows rules that cannot end, and takes a repetition
of more than 2,000 for one without an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from qwen3cli.engines.schema_items import (
    Chars,
    Item,
    Literal,
    Marker,
    Ref,
    Repeat,
    Unsupported,
    Way,
    target_of,
)
from qwen3cli.engines.schema_tangles import untangle
from qwen3cli.engines.schema_widths import refuse_wide

MAX_ELEMENTS = 60_000
"""Characters, references and repeated items in one grammar; llama.cpp keeps 8 bytes for each and reads them fast."""
MAX_REPEATED = 20_000
_BLOCK = 256
_MAX_PATHS = 200_000


class Rules:
    """A grammar under construction; rules that say the same are one."""

    def __init__(self) -> None:
        self._rules: list[tuple[Way, ...] | None] = []
        self._known: dict[tuple[Way, ...], Ref] = {}
        self._elements = 0

    def add(self, alternatives: Iterable[Sequence[Item]]) -> Ref:
        """A rule with these alternatives; without any, nothing matches it."""
        wanted = tuple(dict.fromkeys(tuple(alternative) for alternative in alternatives))
        if len(wanted) == 1 and len(wanted[0]) == 1 and isinstance(wanted[0][0], Ref):
            return wanted[0][0]
        if wanted not in self._known:
            self._known[wanted] = self.reserve()
            self.define(self._known[wanted], wanted)
        return self._known[wanted]

    def reserve(self) -> Ref:
        """A rule that is defined later, for those that refer to themselves."""
        self._rules.append(None)
        return Ref(len(self._rules) - 1)

    def define(self, ref: Ref, alternatives: Iterable[Sequence[Item]]) -> None:
        """Say what a reserved rule is."""
        rule = tuple(tuple(alternative) for alternative in alternatives)
        self._elements += sum(1 + sum(map(_weight, alternative)) for alternative in rule)
        if self._elements > MAX_ELEMENTS:
            raise Unsupported("it is too large")
        self._rules[ref.number] = rule

    @property
    def room(self) -> int:
        """How many elements may still come."""
        return MAX_ELEMENTS - self._elements

    def mark(self) -> tuple[int, int, int]:
        """Where the rules stand, for `back`."""
        return len(self._rules), len(self._known), self._elements

    def back(self, mark: tuple[int, int, int]) -> None:
        """Take back all since `mark`; nothing from before it may refer to that."""
        length, known, self._elements = mark
        del self._rules[length:]
        while len(self._known) > known:
            self._known.popitem()

    def repeat(self, item: Chars | Ref, low: int, high: int | None) -> Way:
        """`item` from `low` to `high` times; many times are counted in blocks."""
        if max(low, high or 0) > MAX_REPEATED:
            raise Unsupported(f"something is to be counted up to more than {MAX_REPEATED:,}")
        if high is not None and high < low:
            return (self.add(()),)
        if (high is None and low <= _BLOCK) or (high is not None and high <= 2 * _BLOCK):
            return () if high == 0 else (Repeat(item, low, high),)
        block = self.add([[Repeat(item, _BLOCK, _BLOCK)]])
        start: Way = ()
        if low >= _BLOCK:
            start = (Repeat(block, low // _BLOCK, low // _BLOCK),)
        start = (*start, Repeat(item, low % _BLOCK, low % _BLOCK)) if low % _BLOCK else start
        if high is None:
            return (*start, Repeat(item, 0, None))
        blocks, rest = divmod(high - low, _BLOCK)
        if not blocks:
            return (*start, Repeat(item, 0, rest)) if rest else start
        whole = [Repeat(block, blocks, blocks), *([Repeat(item, 0, rest)] if rest else [])]
        fewer = [*([Repeat(block, 0, blocks - 1)] if blocks > 1 else []), Repeat(item, 0, _BLOCK - 1)]
        return (*start, self.add([whole, fewer]))

    def write(self, root: Ref, tags: Mapping[str, int]) -> str:
        """The grammar's text with `root` as its start; `tags` are the markers that are one token.

        Raises `Unsupported` when nothing matches it, or llama.cpp could not work with it.
        """
        rules = self._pruned(root)
        empty = _least(rules, lambda item: isinstance(item, Literal) and not item.text)
        _refuse_left_recursion(rules, empty)
        rules = untangle(rules, empty)
        refuse_wide(rules, root.number, empty)
        names = {number: "root" if number == root.number else f"r{number}" for number in rules}
        lines = [
            f"{names[number]} ::= "
            + " | ".join(" ".join(_text(item, names, tags) for item in way) or '""' for way in rule)
            for number, rule in rules.items()
        ]
        return "\n".join(lines) + "\n"

    def _pruned(self, root: Ref) -> dict[int, tuple[Way, ...]]:
        """The rules that `root` needs, without alternatives that nothing can match."""
        rules = [rule or () for rule in self._rules]
        good = _least(dict(enumerate(rules)), lambda _item: True)
        if root.number not in good:
            raise Unsupported("nothing satisfies it")
        kept: dict[int, tuple[Way, ...]] = {}
        waiting = [root.number]
        while waiting:
            number = waiting.pop()
            if number in kept:
                continue
            ways = [_without_hopeless(way, good) for way in rules[number]]
            kept[number] = tuple(dict.fromkeys(way for way in ways if way is not None))
            waiting += [ref for way in kept[number] for item in way if (ref := target_of(item)) is not None]
        return kept


def _weight(item: Item) -> int:
    if isinstance(item, (Literal, Marker)):
        return len(item.text)
    if isinstance(item, Repeat):
        inner = len(item.item.ranges) * 2 if isinstance(item.item, Chars) else 1
        return inner * max(item.low, 1) + (inner + 3) * ((item.high or item.low + 1) - item.low)
    return len(item.ranges) * 2 if isinstance(item, Chars) else 1


def _least(rules: Mapping[int, tuple[Way, ...]], leaf: Callable[[Item], bool]) -> set[int]:
    """The rules with an alternative of which every item is a `leaf`, or such a rule, or may be left out."""
    known: set[int] = set()

    def fine(item: Item) -> bool:
        if isinstance(item, Repeat):
            return item.low == 0 or fine(item.item)
        return item.number in known if isinstance(item, Ref) else leaf(item)

    before = -1
    while before < len(known):
        before = len(known)
        for number, rule in rules.items():
            if number not in known and any(all(map(fine, way)) for way in rule):
                known.add(number)
    return known


def _without_hopeless(way: Way, good: set[int]) -> Way | None:
    """The alternative without what may be left out and cannot be there; None when it cannot be there itself."""
    kept: list[Item] = []
    for item in way:
        target = target_of(item)
        if target is None or target in good:
            kept.append(item)
        elif not (isinstance(item, Repeat) and item.low == 0):
            return None
    return tuple(kept)


def _refuse_left_recursion(rules: Mapping[int, tuple[Way, ...]], empty: set[int]) -> None:
    """Refuse what begins with itself, what repeats nothing, and what llama.cpp would search for too long."""
    paths: dict[int, int] = {}
    order: list[tuple[int, bool]] = [(number, False) for number in rules]
    active: set[int] = set()
    while order:
        number, left = order.pop()
        if left:
            active.discard(number)
            paths[number] = 1 + sum(paths[ref] for ref in _first(rules[number], empty))
            if paths[number] > _MAX_PATHS:
                raise Unsupported("it has too many choices within choices")
            continue
        if number in active:
            raise Unsupported("it begins with itself")
        if number in paths:
            continue
        active.add(number)
        order.append((number, True))
        order += [(ref, False) for ref in _first(rules[number], empty) if ref not in paths]
    for rule in rules.values():
        for item in (item for way in rule for item in way):
            if isinstance(item, Repeat) and target_of(item) in empty:
                raise Unsupported("it repeats what may be empty")


def _first(rule: tuple[Way, ...], empty: set[int]) -> list[int]:
    """The rules that a text of this rule can begin with."""
    found: list[int] = []
    for way in rule:
        for item in way:
            target = target_of(item)
            if target is not None:
                found.append(target)
            may_be_empty = (isinstance(item, Repeat) and item.low == 0) or target in empty
            if not (may_be_empty or (isinstance(item, Literal) and not item.text)):
                break
    return found


def _text(item: Item, names: Mapping[int, str], tags: Mapping[str, int]) -> str:
    if isinstance(item, Marker):
        return f"<[{tags[item.text]}]>" if item.text in tags else _text(Literal(item.text), names, tags)
    if isinstance(item, Literal):
        return '"' + "".join(map(_character, map(ord, item.text))) + '"'
    if isinstance(item, Ref):
        return names[item.number]
    if isinstance(item, Repeat):
        high = "" if item.high is None else item.high
        return _text(item.item, names, tags) + (
            f"{{{item.low},{high}}}" if item.low != item.high else f"{{{item.low}}}"
        )
    return "[" + "".join(_character(a) + (f"-{_character(b)}" if b > a else "") for a, b in item.ranges) + "]"


def _character(code: int) -> str:
    """A character for llama.cpp; by its number where it would mean something, or might not be read as it is."""
    return chr(code) if 32 <= code < 127 and chr(code) not in '"\\[]^-' else f"\\U{code:08X}"
