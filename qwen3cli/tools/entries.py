"""One server of a file, in the dialect of any host; variables in it stay as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qwen3cli.tools.fields import Field
from qwen3cli.tools.kinds import ServerConfig, Transport

SERVER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
NAME_RULE = "1 to 64 letters without accents, digits, `-` and `_`"

_TYPES: dict[str, Transport] = {
    **dict[str, Transport].fromkeys(("stdio", "local"), "stdio"),
    **dict[str, Transport].fromkeys(
        ("http", "streamable-http", "streamableHttp", "streamable_http", "remote"), "http"
    ),
    "sse": "sse",
}
_ALIASES = {
    **{"environment": "env", "transport": "type"},
    **{"allowedTools": "includeTools", "excludedTools": "excludeTools"},
}
_KNOWN = {
    *("command", "args", "env", "cwd", "url", "httpUrl", "headers", "type", "timeout"),
    *("includeTools", "excludeTools", "disabled", "enabled", "trust", "description"),
}
_LOCAL = ("command", "args", "env", "cwd")
_REMOTE = ("url", "httpUrl", "headers")
_VARIABLE_NAME = re.compile("[^=]+")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECOND_MS, _DAY_MS = 1000, 86_400_000


@dataclass(frozen=True)
class Listed:
    """A server as its file lists it: the variables in `config` are not resolved, and `trusted` is only a claim."""

    config: ServerConfig
    disabled: bool = False
    trusted: bool = False

    @property
    def name(self) -> str:
        """Its key in the file."""
        return self.config.name


def not_understood(where: str, keys: Iterable[str]) -> str:
    """The notice of keys that change nothing."""
    return f"{where}: not used: {', '.join(f'`{key}`' for key in keys)}"


class ServerReader:
    """Reads one entry; `notices` has what it does not understand. Raises `InvalidFile`."""

    def __init__(self, name: str, entry: Field, knows_http_url: bool) -> None:
        self.notices: list[str] = []
        self._name = name
        self._entry = entry
        self._members = _without_aliases(entry)
        self._knows_http_url = knows_http_url
        self._what = f"server `{name}` of `{entry.path}`"

    def read(self) -> Listed | None:
        """The server; None for a type of servers that there is no way to talk to."""
        unknown = [key for key in self._members if key not in _KNOWN]
        if unknown:
            self.notices.append(not_understood(self._what, unknown))
        given = self._string("type")
        if given and given not in _TYPES:
            self.notices.append(f"{self._what} is left out: its type `{given}` is not known")
            return None
        transport = _TYPES[given] if given else self._inferred()
        foreign = [key for key in self._members if key in (_REMOTE if transport == "stdio" else _LOCAL)]
        if foreign:
            self.notices.append(f"{not_understood(self._what, foreign)}; its type is `{given or transport}`")
        config = self._local() if transport == "stdio" else self._remote(transport)
        disabled = self._flag("disabled", False) or not self._flag("enabled", True)
        return Listed(config, disabled, self._flag("trust", False))

    def _inferred(self) -> Transport:
        has_url = "url" in self._members or "httpUrl" in self._members
        if "command" in self._members and has_url:
            raise self._entry.refusal(
                "has both a command and a URL", "remove one, or say which by its `type`"
            )
        if not has_url:
            return "stdio"
        if "httpUrl" in self._members:
            return "http"
        path = re.split("[?#]", self._string("url"))[0].rstrip("/")
        return "sse" if self._knows_http_url or path.endswith("/sse") else "http"

    def _local(self) -> ServerConfig:
        field = self._members.get("command")
        if field is None:
            raise self._entry.refusal("has neither a command nor a URL")
        # Some hosts have the arguments in the same list.
        words = field.strings() if field.is_list else (field.string(),)
        if not words or not words[0].strip():
            raise field.refusal("is empty")
        env = self._members["env"].texts() if "env" in self._members else {}
        for name in env:
            if not _VARIABLE_NAME.fullmatch(name) or "\0" in name:
                raise self._members["env"].refusal(f"has `{name}`, which no variable can be called")
        return ServerConfig(
            self._name,
            "stdio",
            command=words[0],
            args=(*words[1:], *self._strings("args")),
            env=env,
            cwd=Path(self._string("cwd")) if self._string("cwd") else None,
            timeout_s=self._timeout_s(),
            include=self._strings("includeTools"),
            exclude=self._strings("excludeTools"),
            source=self._entry.path,
        )

    def _remote(self, transport: Transport) -> ServerConfig:
        if "url" in self._members and "httpUrl" in self._members:
            self.notices.append(f"{not_understood(self._what, ['url'])}; it has an `httpUrl`, too")
        url = self._string("httpUrl") or self._string("url")
        if not url:
            raise self._entry.refusal("has no URL")
        return ServerConfig(
            self._name,
            transport,
            url=url,
            headers=_headers(self._members["headers"]) if "headers" in self._members else {},
            timeout_s=self._timeout_s(),
            include=self._strings("includeTools"),
            exclude=self._strings("excludeTools"),
            source=self._entry.path,
        )

    def _timeout_s(self) -> float:
        if "timeout" not in self._members:
            return ServerConfig.timeout_s
        milliseconds = self._members["timeout"].number(1, _DAY_MS)
        if milliseconds < _SECOND_MS:
            self.notices.append(f"{self._what}: its `timeout` is {milliseconds:g} milliseconds")
        return milliseconds / 1000

    def _string(self, key: str) -> str:
        return self._members[key].string() if key in self._members else ""

    def _strings(self, key: str) -> tuple[str, ...]:
        return self._members[key].strings() if key in self._members else ()

    def _flag(self, key: str, default: bool) -> bool:
        return self._members[key].flag() if key in self._members else default


def _without_aliases(entry: Field) -> dict[str, Field]:
    members: dict[str, Field] = {}
    for key, field in entry.members().items():
        name = _ALIASES.get(key, key)
        if name in members:
            raise field.refusal(f"says the same as `{name}` does", "remove one of them")
        members[name] = field
    return members


def _headers(field: Field) -> dict[str, str]:
    """Headers, from an object or from a list of lines like `Name: value`."""
    headers = field.texts() if not field.is_list else {}
    for line in field.strings() if field.is_list else ():
        name, colon, value = line.partition(":")
        if not colon:
            raise field.refusal(f"has the line `{line}`, which is not like `Name: value`")
        headers[name.strip()] = value.strip()
    for name in headers:
        if not HEADER_NAME.fullmatch(name):
            raise field.refusal(f"has `{name}`, which no header can be called")
    return headers
