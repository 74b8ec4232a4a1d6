"""What is asked of the engine in a turn: the settings of the chat, as this model and these messages make of them."""

from __future__ import annotations

from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import ChatSettings, Engine, GenerateRequest
from qwen3cli.chat.thinking import ADVISED_BUDGET, ThinkingMode, hard_switch, will_think


def thinks_next(engine: Engine, settings: ChatSettings, messages: tuple[Message, ...]) -> bool:
    """Whether the next generation is to be expected to think: kind of model, hard switch, soft switches."""
    if settings.raw or not engine.has_template:
        return False
    return will_think(engine.thinking_mode, switch(engine, settings), messages)


def request_for(
    engine: Engine, settings: ChatSettings, messages: tuple[Message, ...], *, quantized: bool
) -> GenerateRequest:
    """The request of a chat turn: switch, budget, and the mode's sampling preset under the user's values."""
    thinking = thinks_next(engine, settings, messages)
    return GenerateRequest(
        sampling=settings.sampling.resolve(thinking=thinking, quantized=quantized),
        messages=messages,
        thinking=switch(engine, settings),
        think_budget=settings.think_budget or None,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        format=settings.format,
    )


def advice(settings: ChatSettings, *, thinking: bool) -> list[str]:
    """What a person should know about settings that are allowed but harm the answers."""
    lines: list[str] = []
    if thinking and settings.sampling.temperature == 0:
        lines.append(
            "greedy decoding makes Qwen3 repeat itself while thinking; its cards ask for temperature 0.6"
        )
    budget = settings.think_budget
    if thinking and budget is not None and 0 < budget < ADVISED_BUDGET:
        lines.append(f"a thinking budget under {ADVISED_BUDGET:,} tokens costs answer quality")
    return lines


def switch(engine: Engine, settings: ChatSettings) -> bool:
    """The hard switch of the next request."""
    wanted = settings.thinking
    # A budget of nothing is the hard switch: forcing an end at once would only add a sentence to the context.
    if settings.think_budget == 0 and engine.thinking_mode is ThinkingMode.HYBRID:
        wanted = False
    return hard_switch(engine.thinking_mode, wanted)


def raw_request(settings: ChatSettings, text: str, *, quantized: bool) -> GenerateRequest:
    """The request to complete a text."""
    return GenerateRequest(
        sampling=settings.sampling.resolve(thinking=False, quantized=quantized),
        raw=text,
        thinking=False,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
    )
