"""Tokenization parity with the reference library on Qwen3's whole vocabulary, and law 8 on it.

Law 8: no special token comes of what a conversation says, in any role; every other prompt has the ids that
its whole rendering has.
"""

from __future__ import annotations

import random
import re
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as C
import pytest
from tokenizers import Tokenizer

from qwen3cli.chat.messages import Message, Role, ToolCall, ToolSpec
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.engines.llama.weights import Weights
from qwen3cli.engines.template import ChatTemplate
from qwen3cli.machine import Placement
from tests.engines import full_vocabulary
from tests.engines.conversations import TEXTS, samples
from tests.engines.languages import SENTENCES
from tests.engines.models import SPECIALS, write_scripted

DEMO = (Path(__file__).parents[2] / "qwen3cli/demo/chat_template.jinja").read_text(encoding="utf-8")
SPECIAL_IDS = frozenset(range(full_vocabulary.BASE, full_vocabulary.SIZE))


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vocabulary]:
    """Qwen3's vocabulary in llama.cpp, behind our tokenizer."""
    path = full_vocabulary.write_gguf(tmp_path_factory.mktemp("vocabulary") / "qwen3.gguf")
    params = C.llama_model_default_params()
    params.vocab_only = True
    model = C.llama_model_load_from_file(str(path).encode(), params)
    assert model is not None
    pointer = C.llama_model_get_vocab(model)
    assert pointer is not None
    yield Vocabulary(pointer, "qwen2")
    C.llama_model_free(model)


@pytest.fixture(scope="module")
def reference() -> Tokenizer:
    """Qwen3's vocabulary in the library that Qwen's own tokenizer runs on."""
    return full_vocabulary.reference()


def ids_of(reference: Tokenizer, text: str) -> list[int]:
    return reference.encode(text, add_special_tokens=False).ids


def strings() -> list[str]:
    """What is compared: languages, scripts, emoji, code, white space, numbers, combining marks, tags."""
    chance = random.Random(7)
    made = [*SENTENCES.values(), *TEXTS, *CODE.split("\n---\n"), *EMOJI]
    made += [sentence.upper() for sentence in SENTENCES.values()]
    made += [unicodedata.normalize("NFD", sentence) for sentence in SENTENCES.values()]
    sentences = [*SENTENCES.values()]
    made += ["".join(chance.sample(chance.choice(sentences), 8)) for _ in range(300)]
    made += [" ".join(chance.sample(sentences, 2)) for _ in range(200)]
    made += ["".join(chance.choices(" \t\n\r\u00a0\u3000\u2028a1.'", k=12)) for _ in range(300)]
    made += ["".join(chance.choices("0123456789.,-+eE xab ", k=10)) for _ in range(150)]
    made += ["".join(chance.choices("'stremvdSTREMVDlL x\u017f\u212a", k=10)) for _ in range(150)]
    made += [_block(chance, start) for start in range(0x80, 0x20000, 0x80) for _ in range(2)]
    made += ["".join(chance.choices(MARKS, k=8)) for _ in range(150)]
    made += [
        "".join(chance.choices(["</s>", "</", "s>", ">", "s", " ", "\n", "<s>"], k=6)) for _ in range(50)
    ]
    made += ["</s>" * 3000, "x</s" * 300]
    made += ["".join(chance.choices(["a", " ", "\n", "\u0338", "é", *SPECIALS], k=6)) for _ in range(300)]
    return list(dict.fromkeys(made))


def _block(chance: random.Random, start: int) -> str:
    """Characters of a Unicode block, assigned or not, with blanks between some of them."""
    characters = [chr(code) for code in range(start, start + 0x80) if not 0xD800 <= code < 0xE000]
    return "".join(chance.choices([*characters, " "], k=16)) if characters else ""


MARKS = [
    "e",
    "o",
    "ａ",
    "ﬁ",
    "Å",
    "ẛ",
    "\u0301",
    "\u0323",
    "\u0338",
    "\u200d",
    "\ufe0f",
    "한",
    "ᄒ",
    "ᅡ",
    "ᆫ",
    "q\u0307",
    "\u1e9b",
]
EMOJI = ["👍", "👍🏽", "👩‍👩‍👧‍👦", "🇩🇪🇨🇳", "1️⃣", "☺️☺", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "a🙂b 🙃 c", "🤷🏽‍♀️" * 5, "👨‍💻 codes", "❤️‍🔥"]
CODE = """def f(x: int = 3) -> None:
\tif x != 0x1F: return  # done
---
for (int i=0;i<10;++i){printf("%d\\n", i);}
---
<html><!-- c --><b class='x'>&amp;</b></html>
---
SELECT "a", b FROM t WHERE c >= 1e-9 -- it's
---
{"k": [1, -2.5, null, true], "ünï": "\\u00e9\\n"}
---
$ ls -la | grep '^d' && echo "$HOME" > /dev/null 2>&1
---
\\begin{align} x^{2} &= \\frac{1}{2} \\\\ \\end{align}
---
    indented
        more

\t\ttabs
---
https://example.com/a?b=c&d=%20#e user@example.com 2024-01-31T10:00:00Z"""


def test_parity_with_the_reference(vocabulary: Vocabulary, reference: Tokenizer):
    compared = strings()
    assert len(compared) >= 2000
    assert len(SENTENCES) >= 60
    wrong = [text for text in compared if vocabulary.tokenize(text) != ids_of(reference, text)]
    assert not wrong, f"{len(wrong)} of {len(compared)}: {[ascii(text) for text in wrong[:20]]}"


def test_pieces_give_the_bytes_back(vocabulary: Vocabulary):
    for text in strings()[:400]:
        pieces = b"".join(map(vocabulary.piece, vocabulary.tokenize(text)))
        assert pieces.decode() == unicodedata.normalize("NFC", text)
    tokens = full_vocabulary.base_tokens()
    longest = max(range(len(tokens)), key=lambda token: len(tokens[token]))
    assert len(vocabulary.piece(longest)) == len(tokens[longest]) == 128
    for token in (*range(0, len(tokens), 997), longest):
        assert vocabulary.piece(token) == tokens[token]


def test_what_is_special(vocabulary: Vocabulary):
    assert vocabulary.markup == frozenset(SPECIALS)
    assert sorted(vocabulary.specials.values()) == sorted(SPECIAL_IDS)
    ends = {text for text, token in vocabulary.specials.items() if vocabulary.is_end(token)}
    assert {"<|im_end|>", "<|endoftext|>"} <= ends
    assert not ends & {"<think>", "</think>", "<tool_call>", "</tool_call>", "<|im_start|>"}


def tokenized(vocabulary: Vocabulary, template: ChatTemplate, *arguments: Any, **options: Any) -> list[int]:
    """The prompt's ids, as the engine makes them."""
    pieces = template.render(*arguments, **options).pieces
    return [token for piece in pieces for token in vocabulary.tokenize(piece)]


def test_prompts_without_look_alikes_have_the_ids_of_their_whole_rendering(
    vocabulary: Vocabulary, reference: Tokenizer
):
    template = ChatTemplate(DEMO, vocabulary.markup)
    look_alike = re.compile("|".join(map(re.escape, SPECIALS)))
    for sample in samples()[:200]:
        messages = [
            replace(m, content=look_alike.sub("<tag>", m.content), thinking="", tool_calls=())
            for m in sample.messages
        ]
        prompt = template.render(messages)
        assert len(prompt.pieces) == 1
        assert vocabulary.tokenize(prompt.text) == ids_of(reference, prompt.text)


def conversation(role: Role | str, text: str) -> tuple[list[Message], list[ToolSpec]]:
    """A conversation in which `text` stands at the named place."""
    ask, tool = Message("user", "hi"), ToolSpec("look", "looks", {"type": "object"})
    match role:
        case "system" | "user" | "assistant" | "tool":
            return [Message("system", "x"), ask, Message(role, text), ask], [tool]  # type: ignore[arg-type]
        case "thinking":
            return [ask, Message("assistant", "a", text), Message("tool", "b")], [tool]
        case "call name":
            return [ask, Message("assistant", "", tool_calls=(ToolCall(text, {}),))], [tool]
        case "call argument":
            return [ask, Message("assistant", "", tool_calls=(ToolCall("f", {text: [text]}),))], [tool]
        case "argument named role":
            return [ask, Message("assistant", "", tool_calls=(ToolCall("f", {"role": text}),))], [tool]
        case "parameter named role":
            schema = {"properties": {"role": {"type": "string", "role": text, "description": text}}}
            return [ask], [ToolSpec("x", "x", schema)]
        case "tool name":
            return [ask], [ToolSpec(text, "x", {})]
        case "tool description":
            return [ask], [ToolSpec("x", text, {})]
        case _:
            return [ask], [ToolSpec("x", "x", {"properties": {text: {"enum": [text]}}})]


PLACES = [
    *("system", "user", "assistant", "tool", "thinking"),
    *("call name", "call argument", "tool name", "tool description", "tool schema"),
    *("argument named role", "parameter named role"),
]
FRAMES = [
    "{}",
    "a {} b",
    "{}{}",
    "\n{}\n",
    "<{}>",
    "{}</think>",
    "e\u0301{}\u0338",
    "<|im_{}end|>",
    "\u200b{}\ufeff",
]


@pytest.mark.parametrize("place", PLACES)
def test_no_special_token_comes_of_any_look_alike(vocabulary: Vocabulary, place: str):
    template = ChatTemplate(DEMO, vocabulary.markup)

    def specials(text: str) -> list[int]:
        tokens = tokenized(vocabulary, template, *conversation(place, text))
        return [token for token in tokens if token in SPECIAL_IDS]

    expected = specials("harmless")
    for special, frame in product(SPECIALS, FRAMES):
        assert specials(frame.replace("{}", special)) == expected, (special, frame)
    for special, inner in product(SPECIALS, ("<|im_end|>", "</think>")):
        for at in (1, len(special) - 1):
            assert specials(special[:at] + inner + special[at:]) == expected, (special, inner, at)


@pytest.mark.parametrize("place", PLACES)
def test_a_look_alike_is_tokenized_as_the_text_it_is(vocabulary: Vocabulary, place: str):
    template = ChatTemplate(DEMO, vocabulary.markup)
    for special in SPECIALS:
        messages, tools = conversation(place, f"say {special} aloud")
        tokens = tokenized(vocabulary, template, messages, tools)
        whole = template.render(messages, tools).text
        assert b"".join(map(vocabulary.piece, tokens)).decode() == whole, "not a byte is lost or added"


def test_what_normalising_makes_is_never_special(tmp_path: Path):
    """U+212A normalises to `K`; here is a vocabulary with that letter in a special token."""
    path = write_scripted(tmp_path / "model.gguf", {"a": "b"})
    path.write_bytes(path.read_bytes().replace(b"<|box_end|>", b"<|K_a_end|>"))
    weights = Weights(path, Placement(256, 1), lambda _fraction: None, threading.Event())
    assert len(weights.vocabulary.tokenize("<|K_a_end|>")) == 1
    assert len(weights.vocabulary.tokenize("<|\u212a_a_end|>")) == len("<|K_a_end|>")
    weights.free()


def test_combining_characters_beside_tags(vocabulary: Vocabulary, reference: Tokenizer):
    for text in ("<\u0338think>", "<think>\u0338", "</think\u0338>", "\u212a\u037e<think>"):
        assert vocabulary.tokenize(text) == ids_of(reference, text)


def test_marks_that_are_younger_than_the_reference(vocabulary: Vocabulary, reference: Tokenizer):
    marks = [chr(code) for code in range(0x300, 0x20000) if unicodedata.combining(chr(code))]
    younger = [mark for mark in marks if unicodedata.ucd_3_2_0.category(mark) == "Cn"]
    assert len(younger) > 300
    for mark in younger:
        for text in (f"a{mark}\u0301", f"a\u0301{mark}", f"a{mark}\u0323", f"a\u0323{mark}"):
            assert vocabulary.tokenize(text) == ids_of(reference, text), ascii(text)


def test_text_that_is_no_valid_unicode(vocabulary: Vocabulary):
    tokens = vocabulary.tokenize("a\ud800b")
    assert b"".join(map(vocabulary.piece, tokens)).decode() == "a\ufffd\ufffd\ufffdb"
    nul = vocabulary.tokenize("a\x00b")
    assert b"".join(map(vocabulary.piece, nul)) == b"a\x00b"
