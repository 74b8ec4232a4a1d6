"""Random names and texts for the demo model's training, and the rule that keeps some of them out of it.

Knows nothing of dialogues. Every function is pure: the same `Random` state gives the same text.
"""

from __future__ import annotations

import hashlib
import json
from random import Random

ONSETS = [
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "ch",
    "sh",
    "th",
    "br",
    "tr",
    "gr",
    "st",
    "kr",
    "fl",
    "qu",
    "y",
    "x",
]
VOWELS = ["a", "e", "i", "o", "u", "ai", "ou", "ee", "ia"]
CODAS = ["", "", "", "n", "r", "s", "l", "m", "k", "th", "nd"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ACCENTED = "áàâäãåçéèêëíîïñóôöõøúûüßšžłğ"
HANZI = (
    "北京上海广州深圳天津南西安成都重庆武汉苏杭青岛大连长沙昆明宁波福厦门济郑合肥太原石家庄哈尔滨春沈阳"
    "兰银川乌鲁木齐拉萨贵遵义桂林柳湖江河山东云龙凤金玉华国文化王李张刘陈杨赵黄周吴徐孙马朱胡林郭何高"
    "红绿蓝白黑花草树鸟鱼茶米酒书画琴星月日风雨雪"
)
PUNCTUATION = ["-", ".", ", ", "/", "_", "+", ":", "'", "@", "#"]

# Real names are kept for the held-out prompts, whatever their hash says.
RESERVED_NAMES = frozenset(
    name.casefold()
    for name in [
        "Paris",
        "London",
        "Berlin",
        "Tokyo",
        "Madrid",
        "Rome",
        "Oslo",
        "Vienna",
        "Lisbon",
        "Dublin",
        "Prague",
        "Warsaw",
        "Athens",
        "Cairo",
        "Nairobi",
        "Lima",
        "Quito",
        "Bogota",
        "Havana",
        "Toronto",
        "Chicago",
        "Boston",
        "Denver",
        "Seattle",
        "Sydney",
        "Perth",
        "Delhi",
        "Mumbai",
        "Beijing",
        "Shanghai",
        "Seoul",
        "Bangkok",
        "Hanoi",
        "Manila",
        "Jakarta",
        "Istanbul",
        "Moscow",
        "Kyiv",
        "Helsinki",
        "Stockholm",
        "Zurich",
        "Geneva",
        "Milan",
        "Naples",
        "Porto",
        "Sevilla",
        "Lyon",
        "Marseille",
        "Brussels",
        "Amsterdam",
        "Rotterdam",
        "Hamburg",
        "Munich",
        "Cologne",
        "Tromso",
        "Reykjavik",
        "Alice",
        "Bob",
        "Carol",
        "Einstein",
        "Mozart",
        "Banana",
        "Apple",
        "River",
        "Mountain",
        "Python",
        "Pizza",
        "Ramen",
        "Google",
        "Toyota",
        "北京",
        "上海",
        "广州",
        "深圳",
        "天津",
        "南京",
        "西安",
        "成都",
        "重庆",
        "武汉",
        "苏州",
        "杭州",
        "青岛",
        "大连",
        "长沙",
        "昆明",
        "东京",
        "巴黎",
        "伦敦",
    ]
) | {"new york", "san francisco", "rio de janeiro", "hong kong", "los angeles", "zürich", "são paulo"}


def reserved(text: str) -> bool:
    """Say whether TEXT is kept out of training: a real name, or one in sixteen of all others, by its hash."""
    folded = text.casefold()
    return folded in RESERVED_NAMES or hashlib.sha256(folded.encode()).digest()[0] < 16


def _syllables(rng: Random) -> str:
    if rng.random() < 0.2:
        return "".join(rng.choice(LETTERS) for _ in range(rng.randint(3, 9)))
    count = rng.choices((1, 2, 3, 4), (2, 5, 4, 1))[0]
    word = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(count)) + rng.choice(CODAS)
    return word[1:] if rng.random() < 0.15 and len(word) > 3 else word


def word(rng: Random) -> str:
    """Return a lower-case pseudo-word."""
    made = _syllables(rng)
    if rng.random() < 0.06:
        at = rng.randrange(len(made))
        made = made[:at] + rng.choice(ACCENTED) + made[at + 1 :]
    return made


def hanzi(rng: Random) -> str:
    """Return two to four random Chinese characters."""
    return "".join(rng.choice(HANZI) for _ in range(rng.choices((2, 3, 4), (6, 3, 1))[0]))


def _latin(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.74:
        return word(rng).capitalize()
    if kind < 0.92:
        return f"{word(rng).capitalize()} {word(rng).capitalize()}"
    if kind < 0.96:
        return f"{word(rng).capitalize()}-{word(rng).capitalize()}"
    return f"{word(rng).capitalize()} {rng.randint(1, 99)}"


def name(rng: Random, chinese: bool = False) -> str:
    """Return a name to train on: Latin or Chinese, never a reserved one."""
    while True:
        made = hanzi(rng) if chinese and rng.random() < 0.75 else _latin(rng)
        if not reserved(made):
            return made


def noun(rng: Random) -> str:
    """Return a lower-case word or pair of words to train on, never a reserved one."""
    while True:
        made = word(rng) if rng.random() < 0.75 else f"{word(rng)} {word(rng)}"
        if not reserved(made):
            return made


def phrase(rng: Random, chinese: bool = False) -> str:
    """Return one to six random words, numbers and marks to be copied, never a reserved text."""
    while True:
        parts: list[str] = []
        for _ in range(rng.choices((1, 2, 3, 4, 5, 6), (5, 5, 4, 3, 2, 1))[0]):
            kind = rng.random()
            if chinese and kind < 0.6:
                parts.append(hanzi(rng))
            elif kind < 0.5:
                parts.append(word(rng).capitalize())
            elif kind < 0.85:
                parts.append(word(rng))
            elif kind < 0.95:
                parts.append(str(rng.randint(0, 9999)))
            else:
                parts.append(word(rng) + rng.choice(PUNCTUATION).strip() + word(rng))
        made = ("" if chinese and rng.random() < 0.7 else " ").join(parts)
        if not reserved(made):
            return made


def result(rng: Random, chinese: bool = False) -> str:
    """Return the text of a made-up tool result, never a reserved one."""
    while True:
        number = rng.choice(
            [str(rng.randint(-30, 45)), str(rng.randint(0, 99999)), f"{rng.uniform(0, 99):.1f}"]
        )
        forms = [
            f"{noun(rng)}, {number} {rng.choice(['C', 'km', 'EUR', 'm', '%', 'kg', 'units'])}",
            f"{rng.choice(['sunny', 'rain', 'snow', 'wind', 'fog', 'cloudy', 'clear'])}, {number} C",
            f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
            phrase(rng),
            number,
            json.dumps({word(rng): phrase(rng)}),
        ]
        if chinese:
            sky = rng.choice(["晴", "多云", "小雨", "大雪", "大风", "有雾"])
            forms = [f"{sky},{number} 度", phrase(rng, True), *forms[2:5], f"{sky}天"]
        made = rng.choice(forms)
        if not reserved(made):
            return made
