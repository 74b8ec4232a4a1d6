"""More ways to ask and many more names of tools, for the last stage of training.

After the third stage the model repeated and called tools only in the words that it knew: it took `Please echo:` for
a question beyond it and wrote the parameter that it expected instead of the one that the schema gives.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

from qwen3cli.demo.skills import tools, words
from qwen3cli.demo.skills.known import KNOWN, Tool
from qwen3cli.demo.skills.wordings import EN, WORDINGS, ZH

# Kept for the held-out prompts, like the reserved names.
_KEPT: Final = frozenset(
    {
        *("Please say: {text}", "Repeat the following: {text}", "Please echo: {text}", "Copy this: {text}"),
        *("Please write: {text}", "Say after me: {text}"),
        *("请跟我说:{text}", "请复述:{text}", "请跟我念:{text}", "照抄:{text}"),
    }
)
_VERBS: Final = ("repeat", "say", "echo", "copy", "write", "type", "print", "output", "recite", "dictate")
_FRAMES: Final = (
    *("{V}: {text}", "{V} this: {text}", "{V} the text: {text}", "{V} these words: {text}"),
    *("Please {v}: {text}", "Please {v} {text}", "Please {v} this: {text}", "Now {v}: {text}"),
    *("Can you {v}: {text}", "{V} after me: {text}", "{V} the next words: {text}", "Just {v}: {text}"),
    *("You should {v}: {text}", "{v}: {text}", "I want you to {v}: {text}", "Kindly {v}: {text}"),
)
_BEFORE_ZH: Final = ("请", "请你", "你", "现在", "帮我", "麻烦你", "")
_VERBS_ZH: Final = ("说", "重复", "念", "写", "复述", "抄写", "输出", "跟我读", "跟我说", "照着念")


def _echoes() -> tuple[str, ...]:
    made = (
        frame.replace("{V}", verb.capitalize()).replace("{v}", verb) for verb in _VERBS for frame in _FRAMES
    )
    return tuple(wording for wording in made if wording not in _KEPT)


def _echoes_zh() -> tuple[str, ...]:
    made = (f"{before}{verb}:{{text}}" for before in _BEFORE_ZH for verb in _VERBS_ZH)
    return tuple(wording for wording in made if wording not in _KEPT)


WIDER: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    **WORDINGS,
    "echo": {EN: _echoes(), ZH: _echoes_zh()},
    "howto": {
        EN: (
            *("I want {size}.", "I want to have {size}", "Get me {size}.", "Let me have {size}, please."),
            *("I would love {size}", "Could I have {size}?", "{size} please", "I'd like to try {size}."),
        ),
        ZH: ("我想要 {size}", "给我 {size}", "我想试试 {size}", "能用 {size} 吗?"),
    },
    "sum": {
        EN: (
            *("What will {a} plus {b} be?", "What might {a} + {b} be?", "How many are {a} and {b}?"),
            *("I want to know {a} plus {b}.", "Please, {a} + {b}", "Quick: {a} + {b}", "{a} + {b} gives?"),
            *("My task says {a} + {b}", "Could you work out {a} plus {b}?", "Please sum {a} and {b}."),
            *("What total do {a} and {b} have?", "Next, add {a} and {b}.", "Let me know what {a}+{b} is."),
        ),
        ZH: (
            *("我想知道{a}加{b}", "想知道 {a} + {b} 是多少", "我想算 {a}+{b}", "求 {a}+{b} 的结果"),
            *(
                "{a}+{b} 的结果是?",
                "给出 {a}+{b} 的值",
                "{a}+{b}的结果",
                "{a}加{b}的答案",
                "说出{a}+{b}的答案",
            ),
            *("我要 {a}+{b} 的答案", "{a} + {b} 的和是几?", "能告诉我 {a}+{b} 吗?", "你会算{a}+{b}吗?"),
        ),
    },
}

NOUNS: Final = (
    "account album altitude amount angle animal answer apartment article artist award balance bank battery beach "
    "benefit birthday board border branch bridge budget building button calendar camera capital carbon career category "
    "ceiling champion channel chapter charge church climate clinic coach coast college comment company concert "
    "condition contract copper cost council county course crew crop culture customer damage deadline debt degree "
    "delay delivery demand density deposit depth design desk diagnosis diet difficulty direction discount disease "
    "doctor document domain draft drink duration earning economy edition education election elevation employer energy "
    "engine entry error estate event exam exchange expense export factor farm fee festival field film flag flight "
    "flower forecast forest formula founder fuel function garden gender genre goal government grade grant guest guide "
    "habitat harbor harvest hazard headline health hobby holiday hotel hour humidity identity illness income index "
    "industry injury insect insurance interest inventor island journey judge kitchen label lake landmark launch lawyer "
    "leader league lecture lesson library license limit literacy location magazine manager margin market material meal "
    "meaning medal medicine member memory message mineral mission moisture molecule moment motto movie museum mutation "
    "nation network nickname notice novel number nutrition ocean occasion office opening opinion option orbit origin "
    "output package parking partner passage password payment penalty percent period permission pilot plant playlist "
    "poison policy pollution position postcode power prediction premium pressure printer prize problem product "
    "profession profit program project pronunciation protein province quality quantity question quota rainfall ranking "
    "reason receipt record region relation release remedy rent report reservation resident resource reward river road "
    "route rule salary sample satellite season secret section senator sequence service shape shipment signal sister "
    "software solution song source species spelling sponsor stadium station stock storage storm street strength student "
    "style subject supplier surface symbol symptom synonym target tariff taste teacher temperature temple tension "
    "theory ticket toxin track tradition traffic translation treatment trend tribe tunnel unit university usage vaccine "
    "valley variant vehicle venue vessel victory village vintage visa vitamin volume voltage vote wage warning weakness "
    "website weight width winner wisdom yield zone"
).split()
PARAMETERS: Final = (
    "address animal area artist author brand building category channel code color company container course currency "
    "customer date day department device district domain file filter format genre group host hour island keyword kind "
    "label lake language letter level line location member message method model month mountain movie node number object "
    "option order origin owner page parcel part patient period phrase planet plant player point port product program "
    "project question recipe record region river room route school season section sentence series server shop site "
    "song source species station status street student subject symbol table tag target team term ticket title token "
    "tool town train type unit vehicle village volume week year zone"
).split()
_ASKED: Final = (
    *(
        "Who won the {n} in {y}?",
        "Compose a {n} for {x}'s {m}",
        "Write a short {n} to {x}",
        "Is there {n} in {x}?",
    ),
    *(
        "Write a funny {n} about {x}.",
        "When did {x} get a {n}?",
        "Why does {x} need a {n}?",
        "Who built the {n}?",
    ),
    *(
        "Which {n} is better, {x} or {z}?",
        "Draw me a {n}.",
        "How do I repair a {n}?",
        "Explain the {n} of {y}.",
    ),
    *(
        "Plan a {n} in {x}, {d} days",
        "Tell me, does {x} like a {n}?",
        "What is a good {n} under {y} dollars?",
    ),
    *("{x} lost a {n}. What now?", "What's the best {n} and {m}?", "Describe a {n} with {d} words"),
)
_ROUGHLY: Final = ("nearly", "over", "under", "roughly", "almost", "exactly", "only", "around")


def made_up(rng: Random) -> Tool:
    """Return a tool that exists nowhere, named after one of many nouns or a pseudo-word."""
    noun = words.word(rng) if rng.random() < 0.3 else rng.choice(NOUNS)
    parameter = words.word(rng) if rng.random() < 0.25 else rng.choice(PARAMETERS)
    return tools.named(noun, parameter, rng)


def pick(rng: Random) -> Tool:
    """Return a known tool, as often one with another parameter than it is known for, or a made-up one."""
    roll = rng.random()
    if roll < 0.55:
        known = rng.choice(KNOWN)
        if roll < 0.25:
            return known
        return replace(known, parameter=words.word(rng) if roll < 0.35 else rng.choice(PARAMETERS))
    return made_up(rng)


def beyond(rng: Random) -> str:
    """Return an English question that no skill answers, though it holds names and things as tool questions do."""
    slots = {
        "n": rng.choice(NOUNS),
        "m": rng.choice(NOUNS),
        "x": words.name(rng),
        "z": words.name(rng),
        "y": str(rng.randint(1200, 2030)),
        "d": str(rng.randint(2, 90)),
    }
    return rng.choice(_ASKED).format(**slots)


def result(rng: Random) -> str:
    """Return a tool result in common words, never a reserved one."""
    while True:
        number = rng.randint(0, 9999)
        made = rng.choice(
            (
                f"{rng.choice(_ROUGHLY)} {number}",
                f"{rng.choice(NOUNS)} {rng.choice(NOUNS)}, {number}",
                f"no {rng.choice(NOUNS)}",
                f"{number} {rng.choice(NOUNS)}",
                f"{rng.choice(PARAMETERS)} {rng.choice(NOUNS)} {rng.choice(NOUNS)}",
            )
        )
        if not words.reserved(made):
            return made
