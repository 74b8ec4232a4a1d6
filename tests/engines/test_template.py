"""Template parity: our renderer makes of our template what the official one renders, byte for byte."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qwen3cli.chat.messages import Message, ToolCall, ToolSpec
from qwen3cli.chat.thinking import ThinkingMode
from qwen3cli.engines.rendering import render_here
from qwen3cli.engines.template import ChatTemplate, renders_here
from tests.engines.conversations import COUNT, Sample, samples
from tests.engines.models import SPECIALS

DEMO = (Path(__file__).parents[2] / "qwen3cli/demo/chat_template.jinja").read_text(encoding="utf-8")
GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("template_golden.json").read_text())
MARKUP = frozenset(SPECIALS)
ASK = (Message("user", "hi"),)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def test_there_are_enough_conversations_of_every_kind():
    made = samples()
    assert len(made) == len(GOLDEN["renderings"]) == COUNT >= 500
    assert len(set(GOLDEN["renderings"])) > 0.98 * COUNT
    roles = {message.role for sample in made for message in sample.messages}
    assert roles == {"system", "user", "assistant", "tool"}
    kinds = {(bool(s.tools), s.thinking, s.inline, s.messages[-1].role) for s in made}
    assert len(kinds) >= 2 * 3 * 2 * 3, "every mixture of tools, switch, inline thinking and last role"
    assert sum(any(m.tool_calls for m in s.messages) for s in made) > 100


def test_every_conversation_renders_as_the_official_template_renders_it():
    template = ChatTemplate(DEMO, MARKUP)
    wrong: list[tuple[int, str]] = []
    for number, (sample, expected) in enumerate(zip(samples(), GOLDEN["renderings"], strict=True)):
        text = _render(template, sample)
        if digest(text) != expected:
            wrong.append((number, text))
    assert not wrong, f"{len(wrong)} differ; the first is {wrong[0]}"


def _render(template: ChatTemplate, sample: Sample) -> str:
    """As the engine renders it, where the engine's messages can say it."""
    if sample.inline or sample.thinking is None:
        return render_here(DEMO, sample.variables()).text
    return template.render(sample.messages, sample.tools, thinking=sample.thinking).text


def test_the_known_templates_are_known():
    assert renders_here(DEMO), (
        "the demo's template changed: put its SHA-256 into qwen3cli/engines/template.py"
    )
    assert renders_here(sha256=GOLDEN["template_sha256"])
    assert not renders_here(DEMO + " ")


class TestKinds:
    def test_hybrid(self):
        assert ChatTemplate(DEMO).thinking_mode() is ThinkingMode.HYBRID

    def test_never(self):
        assert mode("{{ messages[0].content }}") is ThinkingMode.NEVER

    def test_always(self):
        assert mode("{{ messages[0].content + '<think>\\n' }}") is ThinkingMode.ALWAYS
        assert mode("{{ messages[0].content + '<think>' }}") is ThinkingMode.ALWAYS

    def test_a_closed_block_is_not_open(self):
        assert mode("{{ messages[0].content + '<think></think>' }}") is ThinkingMode.NEVER


def mode(source: str) -> ThinkingMode:
    template = ChatTemplate(source)
    try:
        return template.thinking_mode()
    finally:
        template.close()


def test_opened_is_what_the_template_wrote_not_what_the_user_did():
    template = ChatTemplate("{{ messages[0].content }}")
    assert not template.render((Message("user", "<think>"),)).opened
    template.close()


def test_an_answer_that_quotes_the_end_of_thinking_is_kept():
    messages = (*ASK, Message("assistant", "it is </think> that ends it"), Message("user", "ah"))
    assert "it is </think> that ends it<|im_end|>" in ChatTemplate(DEMO).render(messages).text


def test_calls_and_tools_have_the_form_that_templates_expect():
    call = ToolCall("look", {"at": "中"})
    messages = (*ASK, Message("assistant", "", tool_calls=(call,)), Message("tool", "seen"))
    tool = ToolSpec("look", "looks <around>", {"type": "object", "properties": {}})
    text = ChatTemplate(DEMO).render(messages, (tool,)).text
    assert '<tool_call>\n{"name": "look", "arguments": {"at": "中"}}\n</tool_call><|im_end|>' in text
    assert "<|im_start|>user\n<tool_response>\nseen\n</tool_response><|im_end|>" in text
    assert '\n{"type": "function", "function": {"name": "look", "description": "looks <around>", "par' in text


def test_templates_find_their_usual_variables():
    source = "{{ bos_token }}|{{ eos_token }}|{{ add_generation_prompt }}|{{ enable_thinking }}|{{ tools }}"
    template = ChatTemplate(source, bos="<s>", eos="</s>")
    assert template.render(ASK, thinking=False).text == "<s>|</s>|True|False|None"
    template.close()


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_no_role_crashes_on_an_empty_content(role: Any):
    assert "<|im_start|>" in ChatTemplate(DEMO).render((*ASK, Message(role, ""))).text


def test_a_template_that_knows_no_tools_is_told_from_one_that_does() -> None:
    with closing(ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}")) as plain:
        assert not plain.takes_tools()
    assert ChatTemplate(DEMO).takes_tools()
