"""Seeded damage to the files that a conversion reads, each kind of file in ways of its own."""

from __future__ import annotations

import json
import random
import struct
from typing import Any, cast

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1,
        7,
        511,
        1 << 30,
        1 << 31,
        (1 << 32) + 1,
        1 << 63,
        1 << 64,
        10**30,
        10**4000,
        3_999_999,
    ),
    *(0.5, -0.0, 1e-45, 1e38, 3.4e38, 1e300, float("inf"), float("nan")),
    *("", "x", "a\nb", "\ud800", "\ud800.safetensors", "../x", "9" * 50, "-", "7b1-7b1", "a/b-1B-v2", "\0"),
    *([], [1], [[]], [None], ["a", "b"], {}, {"a": 1}, {"a": {"b": [1]}}, [{"name": 1}], [{"a": "b"}]),
)
YAML = (
    *("license: !!bool x", "license: [a, [b]]", "name: {a: 1}", "tags: !!timestamp x", "version: !!int ''"),
    *("tags: [{a: b}, [c], null, 2024-01-01]", "base_model: {a: [b]}", "base_model: [{name: [x]}, 3, a/b/c]"),
    *("x: &x [a, a, a, a, a, a]\ny: &y [*x, *x, *x, *x]\ntags: [{a: *y}, *x]", "a: &a [*a]\ntags: *a"),
    *("language: !!set {a, b}", "? [a]\n: b", "<<: 5", "datasets: [1, {name: {}}]", "- a", "a: [", "name: -"),
    *(
        f"version: 0x{'f' * 5000}",
        "language: no",
        "\ttags:\n\t- a",
        "model_name: 2-4x7B-A3B",
        "---",
        "%TAG ! x",
    ),
)
# Floats and bit patterns of every type that weights come in: NaN, infinities, the largest, the smallest.
PATTERNS = tuple(
    bytes.fromhex(text)
    for text in ("c07f", "807f", "80ff", "7f7f", "0100", "0080", "007c", "ff7b", "7f", "ff", "0000c07f")
) + tuple(struct.pack("<f", number) for number in (-1.0, 1e15, 3e38, 1e-45, 65520.0))
NUMBERS = (0, 1, 2, 0xFF, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62, (1 << 64) - 1)


def damaged(name: str, content: bytes, chance: random.Random) -> bytes:
    """The content of the file `name` with something wrong in it."""
    if name.endswith(".json") and chance.random() < 0.85:
        return _json(content, chance)
    if name.endswith(".safetensors") and chance.random() < 0.75:
        return _header(content, chance) if chance.random() < 0.6 else _weights(content, chance)
    if name.endswith((".gguf", ".dat")) and chance.random() < 0.75:
        return _numbers(content, chance)
    if name == "README.md" and chance.random() < 0.75:
        lines = content.decode().splitlines()
        lines.insert(chance.randint(0, len(lines)), chance.choice(YAML))
        return "\n".join(lines).encode()
    return _bytes(content, chance)


def containers(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, as the container and the key or index in it."""
    found: list[tuple[Any, Any]] = []
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list)):
            container: Any = cast(Any, one)
            keys = list(container) if isinstance(one, dict) else range(len(container))
            found += [(container, key) for key in keys]
            waiting += [container[key] for key in keys]
    return found


def _json(content: bytes, chance: random.Random) -> bytes:
    """One value replaced, changed a little, left out, said twice, or taken from elsewhere."""
    value = json.loads(content)
    places = containers(value)
    if not places:
        return _bytes(content, chance)
    container, key = chance.choice(places[: chance.choice([5, 50, len(places)])])
    kind = chance.randrange(10)
    if kind < 5:
        container[key] = chance.choice(ODD)
    elif kind < 7:
        container[key] = _nudged(container[key], chance)
    elif kind == 7:
        del container[key]
    elif kind == 8:
        other, place = chance.choice(places)
        container[key] = json.loads(json.dumps(other[place]))
    text = json.dumps(value)
    if kind == 9:
        text = text.replace(f'"{key}":', f'"{key}": 0, "{key}":', 1)
    return text.encode()


def _nudged(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, (int, float)):
        return chance.choice([value - 1, value + 1, 2 * value, -value, value + 0.5, 3])
    if isinstance(value, str):
        return chance.choice([value + "x", value[:-1], value.upper(), value * 40, f" {value}"])
    listed = cast(list[Any], value) if isinstance(value, list) else [value]
    return chance.choice([listed * 2, listed[:-1], listed[::-1], listed])


def _header(content: bytes, chance: random.Random) -> bytes:
    """A safetensors file that says something else of its data."""
    (size,) = struct.unpack("<Q", content[:8])
    header = _json(content[8 : 8 + size], chance)
    header += b" " * (-len(header) % 8)
    claimed = len(header) if chance.random() < 0.95 else len(header) + chance.choice([-8, -1, 1, 8])
    return struct.pack("<Q", max(0, claimed)) + header + content[8 + size :]


def _weights(content: bytes, chance: random.Random) -> bytes:
    """Some numbers of a safetensors file replaced; its header stays as it is."""
    (size,) = struct.unpack("<Q", content[:8])
    return _patched(content, 8 + size, chance.choice(PATTERNS) * chance.choice([1, 1, 3, 40, 500]), chance)


def _numbers(content: bytes, chance: random.Random) -> bytes:
    """A count, a length or a number of a binary file replaced."""
    kind = chance.randrange(3)
    if kind == 0:
        return _patched(content, 0, chance.choice(PATTERNS), chance)
    form = "<Q" if kind == 1 else "<I"
    number = chance.choice(NUMBERS) & ((1 << 8 * struct.calcsize(form)) - 1)
    return _patched(content[:], 0, struct.pack(form, number), chance)


def _patched(content: bytes, begin: int, patch: bytes, chance: random.Random) -> bytes:
    end = begin + chance.choice([100, 1000, len(content)])
    at = chance.randrange(begin, max(begin + 1, min(end, len(content)))) & ~1
    return (
        content[:at] + patch + content[at + len(patch) :] if at + len(patch) <= len(content) else content[:at]
    )


def _bytes(content: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out or doubled; or the file cut off, or longer."""
    raw = bytearray(content)
    if not raw:
        return b"\0"
    if chance.random() < 0.2:
        return bytes(raw[: chance.randrange(len(raw))]) if chance.random() < 0.7 else content + b"\0" * 5
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(min(len(raw), chance.choice([40, 2000, 1 << 30])) or 1)
        kind, span = chance.randrange(3), slice(at, at + chance.randint(1, 30))
        raw[span] = (bytes([chance.randrange(256)]), b"", raw[span] * 2)[kind]
    return bytes(raw)
