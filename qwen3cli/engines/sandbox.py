"""Rendering chat templates in a sandbox, with what Hugging Face's templates expect to find there.

Runs in this process or in a child (`rendering`); knows nothing of messages. Every text of the variables
`messages` and `tools` is traced into the result, except a message's role.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NoReturn, cast

from jinja2 import Environment, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from qwen3cli.engines.traced import Marks, Traced, text_of

MAX_OUTPUT = 16 * 2**20
"""Characters a rendered prompt may have: far beyond any context, far below what hurts."""

Spans = tuple[tuple[int, int], ...]


class TemplateFailure(Exception):
    """The template is broken or refuses the conversation; its message is a clause of a sentence."""


class Sandbox:
    """One template, compiled."""

    def __init__(self, source: str) -> None:
        self._lock = threading.Lock()
        self._environment = _Environment()
        try:
            self._template = self._environment.from_string(source)
        except TemplateSyntaxError as error:
            raise TemplateFailure(f"is broken in line {error.lineno}: {error.message}") from None
        except (SyntaxError, RecursionError):
            # Jinja writes Python, whose own compiler has limits too.
            raise TemplateFailure("is nested too deep") from None
        except MemoryError:
            raise TemplateFailure("needs too much memory") from None

    def render(self, variables: dict[str, Any]) -> tuple[str, Spans]:
        """The rendered text and its ranges that come from `messages` and `tools`."""
        with self._lock:
            return self._render(variables)

    def _render(self, variables: dict[str, Any]) -> tuple[str, Spans]:
        try:
            marks = self._environment.marks = Marks(_texts(variables))
            traced = {**variables, "tools": _trace(marks, variables.get("tools"))}
            traced["messages"] = [_trace_message(marks, one) for one in variables.get("messages") or ()]
            return text_of(marks.read(self._template.render(traced)))
        except TemplateError as error:
            raise TemplateFailure(f"does not take this conversation: {error.message}") from None
        except RecursionError:
            raise TemplateFailure("does not come to an end") from None
        except Exception as error:
            # A template is a program that is not ours: whatever its operators raise is its failure.
            raise TemplateFailure(f"fails: {error or type(error).__name__}") from None


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja with traced text; the settings are those of transformers' chat templates."""

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.marks = Marks(())
        self.concat = self._concat  # type: ignore[assignment]
        self.filters["tojson"] = self._tojson
        self.filters["join"] = self._join
        names = cast("dict[str, Any]", self.globals)
        names["namespace"] = _Namespace
        names["raise_exception"] = _raise
        names["strftime_now"] = _strftime_now

    def _concat(self, parts: Iterable[str]) -> Traced:
        """What a template, a macro or a block wrote."""
        texts: list[str] = []
        total = 0
        for part in parts:
            total += len(part)
            if total > MAX_OUTPUT:
                raise TemplateError(f"it writes more than {MAX_OUTPUT:,} characters")
            texts.append(part)
        return self.marks.read("".join(texts))

    def _join(self, values: Iterable[Any], between: str = "", attribute: str | None = None) -> Traced:
        if attribute is not None:
            values = [self.getattr(value, attribute) for value in values]
        return self.marks.read(between).join(v if isinstance(v, str) else str(v) for v in values)

    def _tojson(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> Traced:
        """JSON as transformers writes it: no HTML escapes, characters as they are."""
        text = json.dumps(
            value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )
        return self.marks.read(text)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return cast("nodes.Template", _Joins().visit(super()._parse(source, name, filename)))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Methods of the template's own text take traced arguments, and keep the trace."""
        owner = getattr(__obj, "__self__", None)
        if type(owner) is str:
            __obj = getattr(__self.marks.read(owner), __obj.__name__)
        return super().call(__context, __obj, *args, **kwargs)


class _Joins(NodeTransformer):
    """Makes `a ~ b` the filter `join`: Jinja's own runs in native code, which gives marked text back."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes), "join", [], [], None, None, lineno=node.lineno)


class _Generation(Extension):
    """`{% generation %}` marks text for training masks; it renders as what it encloses."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Namespace(Namespace):
    """Jinja's namespace without names that lead into Python; transformers guards its own the same way."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise TemplateError(f"it sets the attribute `{name}`")
        super().__setitem__(name, value)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _trace_message(marks: Marks, message: dict[str, Any]) -> dict[str, Any]:
    """A message traced but for its role, which is ours and which templates compare."""
    traced = _trace(marks, {key: value for key, value in message.items() if key != "role"})
    return {"role": message["role"], **traced} if "role" in message else traced


def _trace(marks: Marks, value: Any) -> Any:
    if isinstance(value, str):
        return marks.trace(value) if value else value
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_trace(marks, key): _trace(marks, item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_trace(marks, item) for item in cast("list[Any]", value)]
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield key
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from _texts(item)
