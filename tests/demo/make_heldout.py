"""Write heldout.jsonl, once: `python -m tests.demo.make_heldout`. The file is frozen; this says how it came about.

Every case: `skill`, `messages`, `tools`, `thinking` (the hard switch), `thinks` (whether a non-empty think block is
due), `wording` (before its slots were filled), `names` (what was copied into it), and `answer` or `call`.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from qwen3cli.demo.skills import words
from qwen3cli.demo.skills.dialogue import Message, respond, switched
from qwen3cli.demo.skills.wordings import SIZES, full_width
from tests.demo.wordings import (
    CHINESE_NAMES,
    COMMON_WORDS,
    EN,
    NAMES,
    PLAIN,
    RESULTS,
    SYSTEMS,
    TOOLS,
    ZH,
)

HELDOUT = Path(__file__).parent / "heldout.jsonl"
Case = dict[str, Any]
PER_SKILL = 64


def copied(rng: Random, most: int = 4) -> str:
    """Return a text of at most MOST made-up words that training refuses to make."""
    while True:
        parts = [words.word(rng) for _ in range(rng.randint(1, most))]
        text = " ".join(part.capitalize() if rng.random() < 0.5 else part for part in parts)
        if words.reserved(text):
            return text


def question(skill: str, rng: Random, language: str | None = None, number: int | None = None) -> Case:
    """Return the user's words, the wording they came from and the answer due, for a skill without tools."""
    spoken = language or rng.choices((EN, ZH), (2, 1))[0]
    choices = PLAIN[skill][spoken]
    wording = choices[number % len(choices)] if number is not None else rng.choice(choices)
    slots: dict[str, Any] = {"size": rng.choice(SIZES) if "{size}" in wording else "0.6b"}
    names: list[str] = []
    if skill == "sum":
        slots |= {"a": rng.randint(0, 20), "b": rng.randint(0, 20)}
    if skill == "echo":
        slots["text"] = (
            copied(rng) if spoken == EN else rng.choice(CHINESE_NAMES) if rng.random() < 0.5 else copied(rng)
        )
        names = [slots["text"]]
    return filled(skill, spoken, wording, slots, names, rng)


def filled(
    skill: str, spoken: str, wording: str, slots: dict[str, Any], names: list[str], rng: Random
) -> Case:
    """Return WORDING with its SLOTS filled, and its answer."""
    if "a" in slots:
        slots["total"] = slots["a"] + slots["b"]
    shown = full_width(wording) if spoken == ZH and rng.random() < 0.5 else wording
    answer = respond(skill, spoken, **slots)[1]
    return {"text": shown.format(**slots), "answer": answer, "wording": wording, "names": names, "of": skill}


def case(
    skill: str, messages: list[Message], thinking: bool, asked: Case, tools: list[Any] | None = None
) -> Case:
    """Return one line of the file."""
    made: Case = {"skill": skill, "messages": messages, "tools": tools or [], "thinking": thinking}
    made["thinks"] = thinking and switched(messages)
    made |= {key: asked[key] for key in ("wording", "names", "answer", "call") if key in asked}
    return made


def system(rng: Random) -> list[Message]:
    """Return a system message that training does not know, or none."""
    return [{"role": "system", "content": rng.choice(SYSTEMS)}] if rng.random() < 0.25 else []


def user(text: str) -> Message:
    """Return a user message."""
    return {"role": "user", "content": text}


def tool(name: str) -> dict[str, Any]:
    """Return the signature of one of TOOLS."""
    parameter, description = TOOLS[name][:2]
    parameters = {"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def offered(name: str, rng: Random) -> list[dict[str, Any]]:
    """Return the signatures of NAME and at most two other tools, in random order."""
    others = rng.sample([other for other in TOOLS if other != name], rng.choices((0, 1, 2), (5, 4, 1))[0])
    names = [name, *others]
    rng.shuffle(names)
    return [tool(each) for each in names]


def calling(name: str, rng: Random) -> Case:
    """Return a question that calls the tool NAME."""
    parameter, _, english, chinese, common = TOOLS[name]
    spoken = ZH if chinese and rng.random() < 0.25 else EN
    wording = rng.choice(chinese if spoken == ZH else english)
    if common:
        text = rng.choice(COMMON_WORDS) if rng.random() < 0.5 else copied(rng, 1).lower()
    elif spoken == ZH:
        text = rng.choice(CHINESE_NAMES)
    elif rng.random() < 0.6:
        text = rng.choice(NAMES)
    else:
        text = copied(rng, 1).capitalize()
    shown = full_width(wording) if spoken == ZH and rng.random() < 0.5 else wording
    call = {"name": name, "arguments": {parameter: text}}
    return {
        "text": shown.replace("{x}", text),
        "call": call,
        "wording": wording,
        "names": [text],
        "spoken": spoken,
    }


def plain_cases(rng: Random) -> list[Case]:
    """Return the cases of one question each, without tools; all 441 sums among them."""
    cases: list[Case] = []
    for skill in ("greeting", "about", "howto", "echo", "fallback"):
        for number in range(PER_SKILL):
            asked = question(
                skill,
                rng,
                ZH if number % 3 == 2 else EN,
                number - number // 3 if number % 3 < 2 else number // 3,
            )
            cases.append(case(skill, [*system(rng), user(asked["text"])], number % 2 == 0, asked))
    for a in range(21):
        for b in range(21):
            spoken = ZH if (a + b) % 3 == 0 else EN
            asked = filled("sum", spoken, rng.choice(PLAIN["sum"][spoken]), {"a": a, "b": b}, [], rng)
            cases.append(case("sum", [*system(rng), user(asked["text"])], rng.random() < 0.5, asked))
    return cases


def thinking_cases(rng: Random) -> list[Case]:
    """Return cases about the switches: hard on and off; soft in the question, the system message, or earlier."""
    cases: list[Case] = []
    for number in range(72):
        asked = question(("sum", "about", "greeting", "howto")[number % 4], rng)
        soft = ("", " /think", " /no_think")[number // 4 % 3]
        where = ("question", "system", "earlier")[number // 12 % 3]
        messages: list[Message] = []
        if where == "system" and soft:
            messages.append({"role": "system", "content": SYSTEMS[number % 4] + soft})
        if where == "earlier":
            before = question("greeting", rng)
            messages += [user(before["text"] + soft), {"role": "assistant", "content": before["answer"]}]
        messages.append(user(asked["text"] + (soft if where == "question" else "")))
        cases.append(case("thinking", messages, number < 36 or number % 3 > 0, asked))
    return cases


def tool_cases(rng: Random) -> list[Case]:
    """Return the cases of a call, of a result to pass on, and of tools that do not fit."""
    cases: list[Case] = []
    for number in range(90):
        name = list(TOOLS)[number % len(TOOLS)]
        asked = calling(name, rng)
        messages = [*system(rng), user(asked["text"])]
        cases.append(case("tool_call", messages, number % 2 == 0, asked, offered(name, rng)))
    for number in range(72):
        name, thinking = list(TOOLS)[number % len(TOOLS)], number % 2 == 0
        asked = calling(name, rng)
        outcome = rng.choice(RESULTS) if rng.random() < 0.6 else copied(rng)
        colon = full_width(":") if asked["spoken"] == ZH else ": "
        request: Message = {"role": "assistant", "content": "", "tool_calls": [{"function": asked["call"]}]}
        if thinking:
            request["reasoning_content"] = f"The tool {name} fits."
        messages = [user(asked["text"]), request, {"role": "tool", "content": outcome}]
        due = {
            "answer": f"{asked['names'][0]}{colon}{outcome}",
            "wording": asked["wording"],
            "names": asked["names"],
        }
        cases.append(case("tool_result", messages, thinking, due, offered(name, rng)))
    for number in range(72):
        asked = question(("sum", "about", "greeting", "howto", "fallback", "echo")[number % 6], rng)
        messages = [*system(rng), user(asked["text"])]
        cases.append(
            case("no_tool_fits", messages, number % 2 == 0, asked, offered(rng.choice(list(TOOLS)), rng))
        )
    return cases


def turn_cases(rng: Random) -> list[Case]:
    """Return dialogues of two questions of different kinds, a third of them after a tool loop."""
    cases: list[Case] = []
    skills = ("sum", "about", "greeting", "howto", "fallback", "echo")
    for number in range(72):
        asked = question(skills[number % 6], rng)
        if number % 3 == 0:
            name = rng.choice(list(TOOLS))
            first, outcome = calling(name, rng), rng.choice(RESULTS)
            request: Message = {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": first["call"]}],
            }
            before = [user(first["text"]), request, {"role": "tool", "content": outcome}]
            colon = full_width(":") if first["spoken"] == ZH else ": "
            before.append({"role": "assistant", "content": f"{first['names'][0]}{colon}{outcome}"})
            tools = offered(name, rng)
        else:
            earlier = question(skills[(number + 1 + number // 6) % 6], rng)
            before = [user(earlier["text"]), {"role": "assistant", "content": earlier["answer"]}]
            tools = []
        messages = [*before, user(asked["text"])]
        cases.append(case("two_turns", messages, number % 2 == 0, asked, tools))
    return cases


def main() -> None:
    """Write the file."""
    rng = Random(20)
    cases = plain_cases(rng) + thinking_cases(rng) + tool_cases(rng) + turn_cases(rng)
    lines = (json.dumps(each, ensure_ascii=False) for each in cases)
    HELDOUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
