"""Whether the settings of a chat suit a model."""

from __future__ import annotations

from qwen3cli.chat.ports import ChatSettings, Engine
from qwen3cli.chat.thinking import hard_switch
from qwen3cli.errors import UsageError
from qwen3cli.machine import ModelFacts
from qwen3cli.models.catalog import sibling_of


def check_settings(settings: ChatSettings, facts: ModelFacts, engine: Engine) -> None:
    """Raise `UsageError` for what this model, or completing text, does not have."""
    completing = completes(settings, facts, engine)
    if completing and settings.format is not None:
        raise UsageError("text is completed without a format", "leave out `--format`, or take a chat model")
    if completing and settings.tool_choice == "required":
        raise UsageError("text is completed without tools", "leave out `--tool-choice`, or take a chat model")
    if settings.thinking is None:
        return
    if completing:
        if settings.thinking:
            raise UsageError("text is completed without thinking", "leave out `--think`")
    else:
        hard_switch(engine.thinking_mode, settings.thinking, sibling=sibling_of(facts.name))


def completes(settings: ChatSettings, facts: ModelFacts, engine: Engine) -> bool:
    """Whether text is completed rather than chatted: on request, or because the model can do nothing else."""
    return settings.raw or facts.base or not engine.has_template
