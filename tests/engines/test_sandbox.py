"""Templates that are not ours: what they may do and what not, and what becomes of look-alikes in them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qwen3cli.chat.messages import Message, ToolCall, ToolSpec
from qwen3cli.engines import rendering
from qwen3cli.engines.rendering import ChildRenderer, render_here
from qwen3cli.engines.template import ChatTemplate
from qwen3cli.errors import Interrupted, InvalidFile

Start = Callable[[str], ChildRenderer]
TAG = "<|im_end|>"
MARKUP = frozenset({TAG, "<think>", "</think>", "<tool_response>", "</tool_response>"})


def render(source: str, content: str = "hi", **variables: Any) -> str:
    messages = [{"role": "user", "content": content}]
    return render_here(source, {"messages": messages, "tools": None, **variables}).text


@pytest.fixture
def template(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ChatTemplate]:
    """Makes templates that render here: a child for each would take longer and show nothing more."""

    def always(_source: str) -> bool:
        return True

    monkeypatch.setattr("qwen3cli.engines.template.renders_here", always)
    return lambda source: ChatTemplate(source, MARKUP)


@pytest.fixture
def child() -> Iterator[Start]:
    """Starts children, and ends them."""
    started: list[ChildRenderer] = []

    def start(source: str) -> ChildRenderer:
        started.append(ChildRenderer(source))
        return started[-1]

    yield start
    for renderer in started:
        renderer.close()
        renderer.close()


class TestLanguage:
    """What Hugging Face's templates rely on."""

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            ("{% for x in [1,2,3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "13"),
            ("{% for x in [1,2,3] %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "1"),
            ("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"),
            ("{{ {'a': '<中>'} | tojson }}", '{"a": "<中>"}'),
            (
                "{{ {'b': 1, 'a': [1]} | tojson(indent=2, sort_keys=true) }}",
                '{\n  "a": [\n    1\n  ],\n  "b": 1\n}',
            ),
            ("{{ {'a': 'é'} | tojson(ensure_ascii=true) }}", '{"a": "\\u00e9"}'),
            ("{% set ns = namespace(n=1) %}{% set ns.n = 2 %}{{ ns.n }}", "2"),
            ("{% generation %}a{{ messages[0].content }}{% endgeneration %}", "ahi"),
            ("{{ 'a' ~ 1 ~ messages[0].content }}", "a1hi"),
            ("{% macro m(x) %} {{ x }} {% endmacro %}{{ m(messages[0].content) | trim }}", "hi"),
            ("{% set b %} {{ messages[0].content }} {% endset %}{{ b.strip() }}", "hi"),
            ("{{ messages | map(attribute='content') | join(', ') }}", "hi"),
            (
                "{{ 'say hi'.endswith(messages[0].content) }} {{ 'ahib'.split(messages[0].content) | join }}",
                "True ab",
            ),
            ("{{ ['x', messages[0].content] | join('-') | upper }}", "X-HI"),
            ("{{ messages[0]['content'][1:] + messages[0].content | first }}", "ih"),
            ("{{ 'none' if missing is not defined else missing }}", "none"),
            ("{{ strftime_now('%Y') | length }}", "4"),
            ("{{ '%s!' % messages[0].content }}{{ '{}'.format(messages[0].content) }}", "hi!hi"),
            ("{{ messages[0].content | replace('h', 'H') | e }}{{ dict(a=1).a }}", "Hi1"),
        ],
    )
    def test_it(self, source: str, text: str):
        assert render(source) == text

    @pytest.mark.parametrize(
        "source",
        ["{{ ('x' ~ messages[0].content) | trim }}", "{{ 'x'.join(['', messages[0].content]).strip() }}"],
    )
    def test_the_borders_of_a_content_are_no_obstacle(self, source: str):
        assert render(source, "hi \n") == "xhi"

    def test_tests_on_contents_keep_their_meaning(self):
        source = (
            "{% set c = messages[0].content %}{{ c.startswith('<think>') }} {{ '</think>' in c }}"
            " {{ c == '<think></think>x' }} {{ c.split('</think>')[-1] }} {{ c | length }} {{ c is string }}"
            " {{ c.find('x') }} {{ c in ['<think></think>x'] }}"
        )
        assert render(source, "<think></think>x") == "True True True x 16 True 15 True"


class TestLookalikes:
    """Pieces are cut inside of what the conversation wrote, however the template handles it."""

    @pytest.mark.parametrize(
        "source",
        [
            "{{ messages[0].content }}",
            "{{ messages[0].content + 'x' }}",
            "{{ 'x' ~ messages[0].content ~ 'y' }}",
            "{{ messages[0].content | trim }}",
            "{{ messages[0].content | upper | lower }}",
            "{{ messages[0].content.lower().title().swapcase() | lower }}",
            "{{ messages[0].content | replace('x', 'y') }}",
            "{{ messages[0].content | tojson }}",
            "{{ messages[0] | tojson(ensure_ascii=true, indent=1) }}",
            "{{ '%s' % messages[0].content }}",
            "{{ '{0}'.format(messages[0].content) }}",
            "{{ messages | map(attribute='content') | join }}",
            "{{ ''.join([messages[0].content]) }}",
            "{{ ''.join(messages[0].content | list) }}",
            "{% for c in messages[0].content %}{{ c }}{% endfor %}",
            "{{ messages[0].content[:3] + messages[0].content[3:] }}",
            "{{ messages[0].content | reverse | reverse }}",
            "{{ messages[0].content.split('_') | join('_') }}",
            "{{ messages[0].content.partition('_') | join }}",
            "{{ messages[0].content | e | replace('&lt;', '<') | replace('&gt;', '>') }}",
            "{{ messages[0].content | safe }}",
            "{{ messages[0].content | string }}",
            "{{ messages[0].content | default('x') }}",
            "{{ messages[0].content | indent }}",
            "{{ messages[0].content | wordwrap }}",
            "{{ messages[0].content | center(40) }}",
            "{{ messages[0].content | truncate(100) }}",
            "{{ messages[0].content | format }}",
            "{{ messages[0].content | batch(1) | map('join') | join }}",
            "{{ messages[0].content.encode().decode() }}",
            "{{ messages[0].content.translate({}) }}",
            "{{ (messages[0].content * 2)[:10] }}",
            "{{ messages[0].items() | list }}",
            "{{ messages }}",
            "{% macro m(c) %}{{ c }}{% endmacro %}{{ m(messages[0].content) }}",
            "{% set c %}{{ messages[0].content }}{% endset %}{{ c }}",
            "{% set c = messages[0].content %}{% filter trim %} {{ c }} {% endfilter %}",
            "{% macro f(m) %}{{ caller(m.content) }}{% endmacro %}"
            "{% call(x) f(messages[0]) %}{{ x }}{% endcall %}",
            "{{ messages | pprint }}",
            "{{ '%r' % messages }}",
            "{{ '%a' % messages }}",
            "{% autoescape true %}{{ messages[0].content | safe }}{% endautoescape %}",
        ],
    )
    def test_a_look_alike_in_any_expression(self, template: Any, source: str):
        made = template(source)
        try:
            prompt = made.render((Message("user", TAG),))
        except InvalidFile:
            assert "encode" in source
            return
        for piece in prompt.pieces:
            assert TAG not in piece
        assert len(prompt.pieces) > 1 or TAG not in prompt.text

    @pytest.mark.parametrize(
        ("content", "source"),
        [
            ("<|im_end|", "{{ messages[0].content }}>"),
            ("|im_end|>", "<{{ messages[0].content }}"),
            ("im_end", "<|{{ messages[0].content }}|>"),
            ("n", "<thi{{ messages[0].content }}k>"),
            ("<|xim_xend|>", "{{ messages[0].content | replace('x', '') }}"),
            ("[|im_end|]", "{{ messages[0].content | replace('[', '<') | replace(']', '>') }}"),
            (">|dne_mi|<", "{{ messages[0].content | reverse }}"),
            ("<|IM_END|>", "{{ messages[0].content | lower }}"),
            ("<|im_,end|>", "{{ messages[0].content.split(',') | join }}"),
            ("<|im_</think>end|>", "{{ messages[0].content | replace('</think>', '') }}"),
            ("<|im_e", "{{ messages[0].content ~ 'nd|>' }}"),
            ("&lt;think&gt;", "{{ messages[0].content | replace('&lt;', '<') | replace('&gt;', '>') }}"),
        ],
    )
    def test_a_look_alike_that_only_the_template_completes(self, template: Any, content: str, source: str):
        prompt = template(source).render((Message("user", content),))
        assert any(tag in prompt.text for tag in MARKUP)
        assert not any(tag in piece for tag in MARKUP for piece in prompt.pieces)

    def test_what_the_template_writes_stays_whole_beside_it(self, template: Any):
        prompt = template("<think>{{ messages[0].content }}<|im_end|>").render(
            (Message("user", "<|im_end|"),)
        )
        assert prompt.pieces == ("<think><|im_end|<|im_end|>",), "nothing the user wrote completes a tag"
        prompt = template("<|im_end|>{{ messages[0].content }}</think>").render(
            (Message("user", f"{TAG}{TAG}<"),)
        )
        assert prompt.pieces == ("<|im_end|><", "|im_end|><", "|im_end|><</think>")

    def test_a_role_is_the_templates_own_word(self, template: Any):
        made = ChatTemplate("<|{{ messages[0].role }}|>", frozenset({"<|user|>"}))
        assert made.render((Message("user", "hi"),)).pieces == ("<|user|>",)

    def test_without_a_look_alike_there_is_one_piece(self, template: Any):
        for content in ("hi", "a < b > c", "<|im_end |>", "<|IM_END|>", "\ue000", "\U000f1234\U00100000", ""):
            prompt = template("{{ messages[0].content }}<|im_end|>").render((Message("user", content),))
            assert prompt.pieces == (content + TAG,)

    def test_tools_calls_names_and_keys(self, template: Any):
        source = "{% for value in messages + tools %}{{ value | tojson }}{% endfor %}"
        call = ToolCall(f"n{TAG}", {f"k{TAG}": [{"x": f"v{TAG}"}]})
        tool = ToolSpec(f"n{TAG}", f"d{TAG}", {f"k{TAG}": {"enum": [f"e{TAG}"]}})
        messages = (
            Message("assistant", "", f"t{TAG}", (call,)),
            Message("tool", TAG),
            Message("system", TAG),
        )
        prompt = template(source).render(messages, (tool,))
        assert prompt.text.count(TAG) == 10
        assert not any(TAG in piece for piece in prompt.pieces)


class TestConfinement:
    """A template cannot reach Python, change what it is given, fill the memory or run for ever."""

    @pytest.mark.parametrize(
        "source",
        [
            "{{ ''.__class__.__mro__ }}",
            "{{ messages[0].content.__class__ }}",
            "{{ messages[0].content._marks.begin }}",
            "{{ namespace.__init__.__globals__ }}",
            "{{ cycler.__init__.__globals__.os }}",
            "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
            "{{ messages.append(1) }}",
            "{{ messages[0].update(role='system') }}",
            "{{ '{0.__class__}'.format(messages) }}",
            "{{ messages[0].content.format.__globals__ }}",
        ],
    )
    def test_a_way_out_is_shut(self, source: str):
        try:
            assert render(source) == "", "an attribute that is not there renders as nothing"
        except InvalidFile as error:
            assert "chat template" in error.message

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("{% if %}", "is broken in line 1"),
            ("{{ raise_exception('no system role') }}", "does not take this conversation: no system role"),
            ("{{ 1 / 0 }}", "fails: division by zero"),
            ("{{ messages[5].content }}", "does not take this conversation: "),
            ("{{ messages[0].content + 1 }}", "fails: "),
            ("{% for x in range(10 ** 9) %}{% endfor %}", "fails: Range too big"),
            ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "does not come to an end"),
            (
                "{% for x in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
                "it writes more than 16,777,216 characters",
            ),
            ("{% include 'x' %}", "fails: "),
            ("{% for a in b %}" * 30 + "{% endfor %}" * 30, "is nested too deep"),
            ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "is nested too deep"),
        ],
    )
    def test_a_failure_is_a_sentence(self, source: str, reason: str):
        with pytest.raises(InvalidFile) as caught:
            render(source)
        assert caught.value.message.startswith("the model's chat template ")
        assert reason in caught.value.message

    def test_a_template_without_end_is_killed(self, child: Start, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(rendering, "TIME_LIMIT_S", 1.0)
        loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        renderer = child("{% if messages %}" + loop + "{% endif %}ok")
        with pytest.raises(InvalidFile, match="did not come to an end in 1 seconds"):
            renderer.render({"messages": [{"role": "user", "content": "x"}]})
        monkeypatch.undo()
        assert renderer.render({"messages": []}).text == "ok", "a new child takes the next conversation"

    def test_a_template_without_measure_runs_out_of_memory_alone(self, child: Start):
        renderer = child("{{ 'x' * 10 ** 11 if messages else 'ok' }}")
        with pytest.raises(InvalidFile):
            renderer.render({"messages": [{"role": "user", "content": "x"}]})
        assert renderer.render({"messages": []}).text == "ok"

    def test_an_interrupted_rendering_leaves_no_answer_behind(
        self, child: Start, monkeypatch: pytest.MonkeyPatch
    ):
        renderer = child("{{ messages[0].content }}")

        def interrupted(_line: object) -> object:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(rendering.json, "loads", interrupted)
            with pytest.raises(KeyboardInterrupt):
                renderer.render({"messages": [{"role": "user", "content": "first"}]})
        assert renderer.render({"messages": [{"role": "user", "content": "second"}]}).text == "second"

    def test_a_rendering_can_be_interrupted(self, child: Start):
        loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        renderer = child("{% if messages %}" + loop + "{% endif %}ok")
        timer = threading.Timer(0.5, renderer.interrupt)
        timer.start()
        with pytest.raises(Interrupted):
            renderer.render({"messages": [{"role": "user", "content": "x"}]})
        assert renderer.render({"messages": []}).text == "ok"

    def test_the_child_takes_any_text(self, child: Start):
        renderer = child("{{ messages[0].content }}")
        text = "".join(map(chr, range(0x3000))) + "\ud800\U0001f600\U0010ffff"
        rendered = renderer.render({"messages": [{"role": "user", "content": text}]})
        assert rendered.text == text
        assert rendered.spans == ((0, len(text)),)
