"""A desk with a scripted model: what it answers depends on nothing but the message."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from qwen3cli.chat.bench import Bench
from qwen3cli.chat.conversation import Conversation
from qwen3cli.chat.events import Event, Notice, Prefill, Stats, Text, Thinking, TurnEnded
from qwen3cli.chat.messages import Message
from qwen3cli.chat.ports import ChatSettings, GenerateRequest
from qwen3cli.chat.thinking import ThinkingMode, hard_switch, will_think
from qwen3cli.errors import ContextFull, ModelNotFound
from qwen3cli.machine import ModelFacts
from qwen3cli.terminal.console import Console

CHINESE = "床前明月光，疑是地上霜。举头望明月，低头思故乡。" * 3
STATS = Stats(
    model="fake",
    load_s=0.5,
    prompt_tokens=30,
    cached_tokens=10,
    evaluated_tokens=20,
    prompt_s=0.1,
    ttft_s=0.2,
    thinking_tokens=4,
    output_tokens=50,
    output_s=2.0,
    context_used=80,
    context_size=4096,
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def console(
    *,
    out: io.StringIO | None = None,
    err: io.StringIO | None = None,
    stdin: str = "",
    quiet: bool = False,
    environ: Mapping[str, str] | None = None,
    **variables: str,
) -> Console:
    """A console on streams in memory, in a UTF-8 locale unless the environment says otherwise."""
    both = {"LANG": "C.UTF-8", "TERM": "xterm", **(environ or {}), **variables}
    return Console(io.StringIO(stdin), out or io.StringIO(), err or io.StringIO(), both, quiet=quiet)


class FakeEngine:
    """Holds a scripted answer and a flag to stop it."""

    context_size = 4096
    has_template = True

    def __init__(self) -> None:
        self.thinking_mode = ThinkingMode.HYBRID
        self.cancelled = False

    takes_tools = True

    def count_tokens(self, text: str) -> int:
        return len(text)

    def cancel(self) -> None:
        self.cancelled = True

    def allow(self) -> None:
        self.cancelled = False

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        raise NotImplementedError

    def expect(self, *_: object, **__: object) -> None:
        """Nothing is evaluated."""

    def expected_tokens(self, patience: float = 0.0) -> int | None:
        """Nothing is counted."""

    def count_prompt(self, request: GenerateRequest) -> int:
        raise NotImplementedError

    def close(self) -> None:
        pass


class FakeDesk:
    """A desk whose model says what `say` scripts."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.settings = ChatSettings()
        self.engine = FakeEngine()
        self.facts = _facts("fake")
        self.context_used = 0
        self.carried = False
        self.bench: Bench | None = None
        self.prepared = 0

    def cancel(self) -> None:
        self.engine.cancel()

    def allow(self) -> None:
        self.engine.allow()

    def change(self, settings: ChatSettings) -> None:
        if settings.thinking is not None:
            hard_switch(self.engine.thinking_mode, settings.thinking)
        self.settings = settings

    def thinks(self) -> bool:
        thinking = self.settings.think_budget != 0 and hard_switch(
            self.engine.thinking_mode, self.settings.thinking
        )
        if self.carried:
            return True
        return will_think(self.engine.thinking_mode, thinking, self.conversation.messages)

    def carry_think(self) -> None:
        self.carried = True

    def models(self) -> list[str]:
        return ["fake", "other"]

    def opening_notices(self) -> list[str]:
        return [f"`{self.facts.name}` is a base model"] if "base" in self.facts.name else []

    def switch(self, model: str) -> None:
        if model not in self.models():
            raise ModelNotFound(f"there is no model `{model}`", "`qwen3 list` shows what is installed")
        self.facts = _facts(model)

    def prepare(self) -> None:
        self.prepared += 1

    def clear(self) -> None:
        self.conversation.clear()

    def say(self, text: str, *, typed: bool = True) -> Iterator[Event]:
        self.engine.cancelled = False
        self.conversation.append(Message("user", text))
        if text == "too long":
            self.conversation.rewind(len(self.conversation.turns) - 1)
            raise ContextFull(5000, 4096)
        yield Prefill(0, 20)
        yield from self._script(text)
        finish = "interrupted" if self.engine.cancelled and text != "stuck" else "stop"
        self.context_used = STATS.context_used
        yield TurnEnded(finish, STATS)

    def make_room(self) -> Iterator[Event]:
        yield Notice("there is room now")

    def _script(self, text: str) -> Iterable[Event]:
        if text == "busy":
            return self._until(Path(os.environ["QWEN3_TEST_GATE"]))
        if text in ("slow", "stuck"):
            return self._forever(heeds=text == "slow")
        if text == "think":
            return [Thinking("Let me "), Thinking("see.\n"), Text("\n\nThe "), Text("answer.")]
        if text == "notice":
            return [Text("before "), Notice("something happened"), Text("after")]
        return [Text({"chinese": CHINESE, "evil": "a\x1b[2Jb\x07c\u202ed"}.get(text, f"got {text!r}"))]

    def _until(self, gate: Path) -> Iterator[Event]:
        """Goes on until a test makes the file."""
        yield Text("busy")
        while not gate.exists():
            time.sleep(0.01)
        yield Text(" no more")

    def _forever(self, *, heeds: bool) -> Iterator[Event]:
        for number in range(3000):
            if heeds and self.engine.cancelled:
                return
            yield Text(f"word{number} ")
            time.sleep(0.02)


def _facts(name: str) -> ModelFacts:
    return ModelFacts(
        name=name,
        path=Path(f"/models/{name}.gguf"),
        architecture="qwen3",
        file_bytes=6_800_000,
        parameters=3_400_000,
        quantization="Q8_0",
        quantized=True,
        context_length=40960,
        kv_bytes_per_token=1024,
    )
