"""What is evaluated while nobody waits: it is what the next prompt needs, and never in anybody's way."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, cast

import llama_cpp.llama_cpp as C
import numpy as np
import pytest

from converters import Wishes
from qwen3cli.chat.events import Thinking, ToolCalled
from qwen3cli.chat.messages import Message, ToolSpec
from qwen3cli.chat.ports import Engine
from qwen3cli.demo import CHECKPOINT
from qwen3cli.engines import open_engine
from qwen3cli.engines.llama.ahead import Ahead
from qwen3cli.engines.llama.context import Context
from qwen3cli.engines.llama.halt import Halt
from qwen3cli.engines.llama.vocabulary import Vocabulary
from qwen3cli.engines.llama.weights import Weights
from qwen3cli.errors import QwenError
from qwen3cli.machine import MICRO_BATCH, Placement
from qwen3cli.models.conversion import convert_checkpoint
from tests.engines.asking import ANSWERS, THINKS, ask, ended, said
from tests.engines.conftest import OpenScripted, facts_of

WEATHER = ToolSpec(
    "get_weather",
    "The weather of a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@pytest.fixture
def demo(demo_gguf: Path) -> Iterator[Engine]:
    engine = open_engine(facts_of(demo_gguf), Placement(4096, threads=1))
    yield engine
    engine.close()


def idle(engine: Engine) -> None:
    """Wait until nothing is evaluated any more."""
    cast(Any, engine)._worker.run(lambda: None)


def new_tokens(engine: Engine, text: str, *, thinking: bool) -> int:
    """What a turn cannot do without: the message, and the prompt for the reply."""
    switch = "" if thinking else "<think>\n\n</think>\n\n"
    rest = f"{text}<|im_end|>\n<|im_start|>assistant\n{switch}"
    return len(cast(Any, engine)._weights.vocabulary.tokenize(rest))


@pytest.mark.parametrize("thinking", [True, False])
def test_a_turn_evaluates_only_what_is_new(demo: Engine, thinking: bool) -> None:
    messages = [Message("system", "Be brief.")]
    demo.expect(messages, thinking=thinking)
    for number in range(10):
        text = f"What is {number} + {number * 7}?"
        messages.append(Message("user", text))
        expected = demo.expected_tokens(60)
        idle(demo)
        events = ask(demo, messages=tuple(messages), thinking=thinking)
        assert (ended(events).stats.cached_tokens, demo.expected_tokens()) == (expected, None)
        assert ended(events).stats.evaluated_tokens == new_tokens(demo, text, thinking=thinking)
        assert bool(ended(events).stats.thinking_tokens) == thinking
        messages.append(Message("assistant", said(events)))
        demo.expect(messages, thinking=thinking)


def test_a_turn_with_tools_evaluates_only_what_is_new(demo: Engine) -> None:
    messages, tools = [Message("user", "What will the weather be in Paris?")], (WEATHER,)
    events = ask(demo, messages=tuple(messages), tools=tools, thinking=True)
    calls = tuple(event.call for event in events if isinstance(event, ToolCalled))
    first = ended(events).stats
    messages += [
        Message("assistant", said(events), said(events, Thinking), calls),
        Message("tool", "sunny, 21 degrees"),
    ]
    events = ask(demo, messages=tuple(messages), tools=tools, thinking=True)
    assert calls and ended(events).stats.evaluated_tokens < 40 < first.evaluated_tokens
    messages.append(Message("assistant", said(events)))
    demo.expect(messages, tools)
    idle(demo)
    messages.append(Message("user", "Thank you."))
    events = ask(demo, messages=tuple(messages), tools=tools)
    assert ended(events).stats.evaluated_tokens == new_tokens(demo, "Thank you.", thinking=True)


def test_taking_a_turn_back_costs_nothing(demo: Engine) -> None:
    messages = (Message("system", "Be brief. " * 20), Message("user", "What is 2 + 3?"))
    events = ask(demo, messages=messages)
    demo.expect([*messages, Message("assistant", said(events))])
    idle(demo)
    # Another sample of the same reply, another question in its place, and a conversation that begins anew.
    again = ended(ask(demo, messages=messages)).stats
    other = ended(ask(demo, messages=(messages[0], Message("user", "What is 4 + 5?")))).stats
    demo.expect(messages[:1])
    idle(demo)
    cleared = ended(ask(demo, messages=(messages[0], Message("user", "Hello!")))).stats
    assert again.evaluated_tokens <= new_tokens(demo, "", thinking=True)
    assert other.evaluated_tokens < new_tokens(demo, "What is 4 + 5?", thinking=True)
    assert cleared.evaluated_tokens == new_tokens(demo, "Hello!", thinking=True)


@pytest.fixture(scope="module")
def open_context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Context]]:
    """Opens contexts on the demo model in F32, which computes the same in batches of any size."""
    path = tmp_path_factory.mktemp("demo") / "demo-f32.gguf"
    convert_checkpoint(CHECKPOINT, path, "f32", Wishes("demo"))
    placement = Placement(16384, threads=1)
    weights = Weights(path, placement, lambda _: None, threading.Event())
    opened: list[Context] = []

    def open_one() -> Context:
        opened.append(Context(weights, placement))
        return opened[-1]

    yield open_one
    for context in opened:
        context.free()
    weights.free()


def vocabulary_of(context: Context) -> C.llama_vocab_p:
    assert context.pointer is not None
    model = C.llama_get_model(context.pointer)
    assert model is not None
    vocabulary = C.llama_model_get_vocab(model)
    assert vocabulary is not None
    return vocabulary


def logits(context: Context, tokens: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What the model says after `tokens`, as logarithms of probabilities."""
    kept = context.keep_prefix(tokens)
    for _ in context.evaluate(tokens[kept:]):
        pass
    assert context.pointer is not None
    size = C.llama_vocab_n_tokens(vocabulary_of(context))
    raw = np.ctypeslib.as_array(C.llama_get_logits_ith(context.pointer, -1), (size,)).astype(np.float64)
    return raw - raw.max() - np.log(np.exp(raw - raw.max()).sum())


def divergence(one: Context, other: Context, before: Sequence[int], new: Sequence[int]) -> float:
    """The mean over `new` of the Kullback-Leibler divergence of what `one` says from what `other` says."""
    found: list[float] = []
    for end in range(1, len(new) + 1):
        ours, theirs = (logits(context, [*before, *new[:end]]) for context in (one, other))
        found.append(float((np.exp(theirs) * (theirs - ours)).sum()))
    return float(np.mean(found))


def test_it_is_what_evaluating_from_scratch_gives(open_context: Callable[[], Context]) -> None:
    context, patched = open_context(), open_context()
    tokenize = Vocabulary(vocabulary_of(context), "qwen2").tokenize

    def question(number: int) -> list[int]:
        text = f"What is {number} + {3 * number}?"
        return tokenize(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")

    thinking = tokenize("<think>\nThe user wants the sum of two numbers.\n</think>\n\n")
    history, found = tokenize("<|im_start|>system\nBe brief.<|im_end|>\n"), list[float]()
    for number in range(8):
        answer = tokenize(f"{number} + {3 * number} = {4 * number}<|im_end|>\n")
        written = [*thinking, *answer]
        logits(context, history + question(number))
        for token in written:
            context.append(token)
        if number == 0:
            logits(patched, context.tokens)
        history = [*history, *question(number), *answer]
        expected = tuple(history)
        Ahead(context, lambda expected=expected: expected).run()
        assert context.tokens == history
        found.append(divergence(context, open_context(), history, question(number + 1)))
    assert float(np.mean(found)) <= 1e-5
    # It can tell: the shortcut, which drops the thinking and moves the rest, says something else.
    assert patched.pointer is not None
    memory = C.llama_get_memory(patched.pointer)
    assert memory is not None
    start = len(patched.tokens) - len(thinking) - len(tokenize("0 + 0 = 0<|im_end|>\n"))
    C.llama_memory_seq_rm(memory, 0, start, start + len(thinking))
    C.llama_memory_seq_add(memory, 0, start + len(thinking), -1, -len(thinking))
    del patched.tokens[start : start + len(thinking)]
    assert divergence(patched, open_context(), patched.tokens, question(1)) > 1e-2


def begun(ahead: Ahead, context: Context) -> threading.Thread:
    """It runs, and has begun to evaluate."""
    thread = threading.Thread(target=ahead.run)
    thread.start()
    while len(context.tokens) < MICRO_BATCH:
        time.sleep(0.001)
    return thread


@pytest.mark.parametrize("agrees", [True, False])
def test_it_makes_way(open_context: Callable[[], Context], agrees: bool) -> None:
    context, tokens = open_context(), [n % 250 for n in range(16000)]
    ahead = Ahead(context, lambda: tokens)
    thread = begun(ahead, context)
    ahead.make_way(tokens if agrees else [9, *tokens])
    thread.join()
    assert MICRO_BATCH <= len(context.tokens) < len(tokens)
    assert context.tokens == tokens[: len(context.tokens)]
    # Who agrees waits for the micro-batch that was running; nobody's stop is in force for others.
    assert context.halt.raised is (not agrees)
    context.halt.resume()
    context.append(1)


def test_it_does_not_begin_for_whoever_was_there_first(open_context: Callable[[], Context]) -> None:
    context = open_context()
    ahead = Ahead(context, lambda: [1, 2, 3])
    ahead.make_way([7])
    ahead.run()
    assert context.tokens == []


def test_what_is_there_already_and_what_does_not_fit_is_left_alone(
    open_context: Callable[[], Context],
) -> None:
    context = open_context()
    logits(context, [1, 2, 3, 4, 5])
    Ahead(context, lambda: [1, 2, 3]).run()
    Ahead(context, lambda: [1] * context.size).run()
    assert context.tokens == [1, 2, 3, 4, 5]


def test_a_stop_reaches_it_and_is_not_its_own(scripted: OpenScripted) -> None:
    engine = scripted(THINKS | ANSWERS, context=16384)
    engine.cancel()
    engine.expect([Message("system", "x " * 7000)])
    assert ended(ask(engine)).finish == "interrupted"
    engine.allow()
    engine.expect([Message("system", "x " * 7000)])
    assert ended(ask(engine)).finish == "stop"


def test_what_was_expected_before_is_not_in_the_way(demo: Engine) -> None:
    # As when servers get ready while a person types, or a command changes the conversation.
    for text in ("Be brief.", "Answer in Dutch.", "Be brief."):
        demo.expect([Message("system", text)])
        idle(demo)
    stats = ended(ask(demo, messages=(Message("system", text), Message("user", "Hello!")))).stats
    assert stats.evaluated_tokens == new_tokens(demo, "Hello!", thinking=True)


def test_a_stop_that_comes_while_it_makes_way_is_not_lost() -> None:
    halt = Halt()
    code, stops = cast(Any, Halt)._flags.__code__, count()

    def run(number: int) -> bool:
        """Stop before instruction `number` of it, as a signal handler would; False when there are not so many."""
        left = number

        def trace(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal left
            if frame.f_code is not code:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                left -= 1
                if left == -1:
                    sys.settrace(None)
                    halt.cancel()
            return trace

        sys.settrace(trace)
        try:
            halt.hurry()
        finally:
            sys.settrace(None)
        return left < 0

    while run(next(stops)):
        halt.resume()
        assert halt.raised
        halt.allow()
        assert not halt.raised
    assert next(stops) > 20


def test_a_template_that_refuses_is_the_next_reply_s_business(scripted: OpenScripted) -> None:
    engine = scripted(ANSWERS, template="{{ raise_exception('no') }}")
    engine.expect([Message("system", "x")])
    assert engine.expected_tokens(60) is None
    with pytest.raises(QwenError, match="no"):
        ask(engine)


def test_a_defect_is_not_swallowed(scripted: OpenScripted) -> None:
    engine = scripted(THINKS | ANSWERS)

    def fail() -> None:
        raise ZeroDivisionError

    cast(Any, engine)._worker.post(fail)
    with pytest.raises(ZeroDivisionError):
        ask(engine)
    assert ended(ask(engine)).finish == "stop"


def test_closing_does_not_wait_for_it(scripted: OpenScripted) -> None:
    engine = scripted(ANSWERS, context=16384)
    engine.expect([Message("system", "x " * 7000)])
    context = cast(Any, engine)._context
    engine.close()
    assert len(context.tokens) < 7000
    engine.expect([])
