"""What happens in a conversation, as records: values of JSON, of which a replay makes the conversation again.

A journal is records in their order, each an object with a `kind`::

    session    first of all, and only there: `version`, that of this format
    model      `model`: what opens the model
    system     `text`: the system prompt; null for none
    settings   all that is set for this conversation; what is left out is as it comes
    message    `role` (user, assistant or tool) and `content`; `thinking` and `tool_calls` where there are some
    rewind     `to`: so many messages stay, what came after them was taken back
    clear      no message stays
    condense   the model does not see the first so many (`replaced`) messages, but `stand_in`, a list of messages

Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Literal, TypeGuard, cast, get_args

from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.messages import Message, ToolCall
from qwen3cli.chat.ports import ChatSettings, WhenFull
from qwen3cli.chat.sampling import SamplingChoice
from qwen3cli.errors import UsageError
from qwen3cli.machine import KV_TYPES, MOST_TOKENS
from qwen3cli.sessions.snapshot import Lasting, Snapshot

VERSION = 1

Record = Mapping[str, Any]
_SAMPLING = tuple(one.name for one in fields(SamplingChoice))
_INTEGERS = ("top_k", "seed")


class Unknown(ValueError):
    """A record of a later format."""


def changes(old: Snapshot | None, new: Snapshot) -> list[Record]:
    """The records that make `new` of `old`; None stands for a journal that has none."""
    records: list[Record] = []
    if old is None:
        old = Snapshot()
        records.append({"kind": "session", "version": VERSION})
    if new.model != old.model:
        records.append({"kind": "model", "model": new.model})
    if new.system != old.system:
        records.append({"kind": "system", "text": new.system})
    if new.settings != old.settings:
        records.append({"kind": "settings", **_settings(new.settings)})
    return records + _messages(old, new)


def _messages(old: Snapshot, new: Snapshot) -> list[Record]:
    if new.messages is old.messages and new.condensed == old.condensed:
        return []
    # The same ones, not equal ones: in Python `True` equals `1`, in the arguments of a call it does not.
    pairs = enumerate(zip(old.messages, new.messages, strict=False))
    shorter = min(len(old.messages), len(new.messages))
    common = next((n for n, (one, other) in pairs if one is not other), shorter)
    records: list[Record] = []
    condensed = old.condensed
    if common < len(old.messages):
        records.append({"kind": "rewind", "to": common} if common else {"kind": "clear"})
        condensed = condensed if common and common >= condensed[0] else (0, ())
    records += [{"kind": "message", **_message(message)} for message in new.messages[common:]]
    if new.condensed != condensed:
        replaced, stand_in = new.condensed
        records.append({"kind": "condense", "replaced": replaced, "stand_in": [*map(_message, stand_in)]})
    return records


def _message(message: Message) -> dict[str, Any]:
    record: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        record["thinking"] = message.thinking
    if message.tool_calls:
        calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in message.tool_calls]
        record["tool_calls"] = calls
    return record


def _settings(settings: Lasting) -> dict[str, Any]:
    chat = settings.chat
    values: dict[str, Any] = {
        "thinking": chat.thinking,
        "think_budget": chat.think_budget,
        **asdict(chat.sampling),
        "max_tokens": chat.max_tokens,
        "stop": [*chat.stop] or None,
        "when_full": chat.when_full,
        "carries_think": settings.carries_think or None,
        "context": settings.context,
        "kv_type": settings.kv_type,
    }
    return {name: value for name, value in values.items() if value is not None}


class Replay:
    """Makes a conversation of its records."""

    def __init__(self) -> None:
        self._rest: Snapshot | None = None
        self._conversation = Conversation()

    @property
    def snapshot(self) -> Snapshot | None:
        """What it has come to; None before the first record."""
        if self._rest is None:
            return None
        conversation = self._conversation
        return replace(
            self._rest,
            system=conversation.system,
            messages=conversation.turns,
            condensed=conversation.condensed,
        )

    def take(self, record: Record) -> None:
        """Take in the next record; raises `ValueError` for what is none, and `Unknown` for one of a later format."""
        kind = record.get("kind")
        if self._rest is None:
            self._rest = _beginning(record)
        elif kind == "model":
            self._rest = replace(self._rest, model=_get(record, "model", _is_text))
        elif kind == "settings":
            self._rest = replace(self._rest, settings=_read_settings(record))
        elif isinstance(kind, str) and kind != "session":
            self._change(kind, record)
        else:
            raise ValueError("it holds a record of no kind")

    def _change(self, kind: str, record: Record) -> None:
        conversation = self._conversation
        said = _is_whole(0, len(conversation.turns))
        if kind == "system":
            conversation.system = _get(record, "text", _is_text_or_none)
        elif kind == "message":
            conversation.append(_read_message(record))
        elif kind == "clear":
            conversation.clear()
        elif kind == "rewind":
            conversation.rewind(_get(record, "to", said))
        elif kind == "condense":
            instead = tuple(map(_read_message, _get(record, "stand_in", _are_objects)))
            condensed = _get(record, "replaced", said), instead
            now = Snapshot(system=conversation.system, messages=conversation.turns, condensed=condensed)
            self._conversation = now.conversation()
        else:
            raise Unknown(f"it has records of the kind `{kind}`")


def _beginning(record: Record) -> Snapshot:
    if record.get("kind") != "session":
        raise ValueError("it does not begin as a session does")
    version = _get(record, "version", _is_whole(1, MOST_TOKENS))
    if version > VERSION:
        raise Unknown(f"its format is {version}, and this program knows {VERSION}")
    return Snapshot()


def _read_message(record: Record) -> Message:
    role: Literal["user", "assistant", "tool"] = _get(
        record, "role", lambda value: value in ("user", "assistant", "tool")
    )
    calls: list[dict[str, Any]] = _get(record, "tool_calls", _are_calls) if "tool_calls" in record else []
    return Message(
        role,
        _get(record, "content", _is_text),
        _get(record, "thinking", _is_text) if "thinking" in record else "",
        tuple(ToolCall(call["name"], call["arguments"]) for call in calls),
    )


def _read_settings(record: Record) -> Lasting:
    def get(name: str, fits: Callable[[Any], bool], otherwise: Any = None) -> Any:
        return _get(record, name, fits) if name in record else otherwise

    try:
        sampling = SamplingChoice(
            **{name: get(name, _is_integer if name in _INTEGERS else _is_number) for name in _SAMPLING}
        )
    except UsageError as error:
        raise ValueError(error.message) from None
    chat = ChatSettings(
        get("thinking", _is_switch),
        get("think_budget", _is_whole(0, MOST_TOKENS)),
        sampling,
        get("max_tokens", _is_whole(1, MOST_TOKENS)),
        tuple(get("stop", _are_texts, ())),
        when_full=get("when_full", get_args(WhenFull).__contains__),
    )
    context, kv_type = get("context", _is_whole(1, MOST_TOKENS)), get("kv_type", KV_TYPES.__contains__)
    return Lasting(chat, get("carries_think", _is_switch, False), context, kv_type)


def _get(record: Record, name: str, fits: Callable[[Any], bool]) -> Any:
    value = record.get(name)
    if not fits(value):
        raise ValueError(f"`{name}` in it is not what it should be")
    return value


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: _is_integer(value) and least <= value <= most


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one for one in cast("list[Any]", value))


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in cast("list[Any]", value))


def _are_calls(value: Any) -> bool:
    return isinstance(value, list) and all(_is_call(one) for one in cast("list[Any]", value))


def _is_call(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    call = cast("dict[str, Any]", value)
    return _is_text(call.get("name")) and isinstance(call.get("arguments"), dict)
