"""Model cards that mean harm or nothing: they cost neither the conversion nor time, and the rest of them counts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from converters import convert
from tests.converters.checkpoints import Model, make_checkpoint

# Each line has ten times the text of the one before, when aliases are followed.
LAUGHS = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10 if before else ['ha'] * 10)}]\n"
    for before, name in zip(("", *"abcdefgh"), "abcdefghi", strict=True)
)
UNREADABLE = {
    "a truth value that is none": "license: !!bool maybe",
    "a date that is none": "license: !!timestamp never",
    "a number without digits": "license: !!int ''",
    "a fraction without digits": "license: !!float _",
    "a number of 5,000 digits": f"license: 0x{'f' * 5000}",
    "a date of another calendar": "license: 2024-13-45",
    "an open bracket": "license: [",
    "code": "license: !!python/object/apply:os.system [ls]",
    "a key that is a list": "? [a, b]\n: c",
    "nested too deeply": f"license: {'[' * 2000}",
    "too much of it": "tags:\n" + "- some tag\n" * 8000,
    "too much by aliases": f"x: &x {'x' * 1000}\ntags: [{', '.join(['*x'] * 2000)}]",
    "too much by aliases of objects": f"x: &x {{a: {'x' * 1000}}}\nbase_model: [{', '.join(['*x'] * 2000)}]",
}
READABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "laughs in an object": (f"{LAUGHS}base_model: {{name: *i}}\nlicense: mit", {"general.license": "mit"}),
    "laughs in a list": (f"{LAUGHS}tags: [{{name: *i}}, *i, chat]", {"general.tags": ["chat"]}),
    "laughs alone": (f"{LAUGHS}license: *i", {}),
    "laughs in pairs": (f"{LAUGHS}tags: !!pairs [a: *i]", {}),
    "a list that holds itself": ("tags: &tags [chat, *tags]", {"general.tags": ["chat"]}),
    "two licenses": ("license: [mit, apache-2.0]", {"general.license": "mit,apache-2.0"}),
    "a license with terms": ("license: {name: mit}", {}),
    "a set of languages": ("language: !!set {en, de}\nlicense: mit", {"general.license": "mit"}),
    "tags of every kind": (
        "tags: [1, null, yes, {a: b}, [c], 2024-01-01]",
        {"general.tags": ["1", "True", "2024-01-01"]},
    ),
    "a name that is a list": ("name: [a, b]", {"general.name": "a,b"}),
    "a name that is an object": ("name: {a: b}", {"general.name": "model"}),
    "a name that is empty": ("name: ''", {"general.name": "model"}),
    "keys that are no texts": ("1: a\nnull: b\n2.5: c\nlicense: mit", {"general.license": "mit"}),
}


def read(folder: Path, card: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The metadata that a card leads to, and what is said of it; in a second."""
    checkpoint = make_checkpoint(
        folder / "model", Model(layers=1, files={"README.md": f"---\n{card}\n---\n# A\n"})
    )
    begin = time.process_time()
    done = convert(checkpoint, folder / "out.gguf", "q8_0", threads=1)
    assert time.process_time() - begin < 1
    fields = GGUFReader(folder / "out.gguf").fields
    return {
        key: field.contents() for key, field in fields.items() if key.startswith("general.")
    }, done.notices


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_card_is_left_out_with_a_word(name: str, tmp_path: Path) -> None:
    found, (notice,) = read(tmp_path, UNREADABLE[name])
    assert "general.license" not in found
    assert notice.startswith(f"the model card `{tmp_path}/model/README.md` cannot be read and is left out: ")
    assert len(notice) < 400
    assert notice.isprintable()


@pytest.mark.parametrize("name", READABLE)
def test_what_makes_sense_of_a_card_counts(name: str, tmp_path: Path) -> None:
    card, expected = READABLE[name]
    found, notices = read(tmp_path, card)
    assert notices == ()
    assert {key: found.get(key) for key in expected} == expected
    if not expected:
        assert not {"general.license", "general.tags"} & set(found)
