"""What the environment asks for, read once; and what config.toml says, read by the commands that need it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard, cast

from qwen3cli.errors import InvalidFile, UsageError
from qwen3cli.paths import Paths

CONFIG_FILE = "config.toml"
_LIMIT = 1 << 20
_LONGEST_HOOK_S = 600.0


@dataclass(frozen=True)
class Config:
    """Settings that outlive one command: `QWEN3_HOME`, `QWEN3_MODEL`, `QWEN3_DEBUG`."""

    paths: Paths
    model: str | None = None
    debug: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Config:
        """Read the environment; empty variables count as unset. A home that cannot be is a `UsageError`."""
        try:
            paths = Paths.of(environ)
        except (OSError, RuntimeError):  # No such user after `~`; or relative to a folder that is gone.
            home = environ.get("QWEN3_HOME", "")
            raise UsageError(
                f"`QWEN3_HOME={home}` leads to no folder", "give the whole path of a folder"
            ) from None
        return cls(
            paths=paths,
            model=environ.get("QWEN3_MODEL") or None,
            debug=environ.get("QWEN3_DEBUG", "") not in ("", "0"),
        )


@dataclass(frozen=True)
class HookSettings:
    """A command that runs before or after the calls of tools that `match`, a glob of `server.tool`, names."""

    when: Literal["before", "after"]
    match: str
    command: tuple[str, ...]
    timeout_s: float = 10.0


@dataclass(frozen=True)
class ToolSettings:
    """The table `[tools]` of config.toml.

    `allow` and `deny` are globs of `server.tool`; what is denied cannot be allowed. `search_share` is the part of the
    context that tools' descriptions may take before tools have to be searched for, `result_share` the part of the free
    context that one result may take, `rounds` how often a turn calls tools before somebody is asked.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    hooks: tuple[HookSettings, ...] = ()
    search: Literal["auto", "always", "never"] = "auto"
    search_share: float = 0.1
    result_share: float = 0.25
    rounds: int = 20

    @classmethod
    def of(cls, folder: Path) -> ToolSettings:
        """Read config.toml in `folder`; without one everything is as it comes. Raises `InvalidFile`."""
        return _tool_settings(_table(folder, "tools", cls))


@dataclass(frozen=True)
class CacheSettings:
    """The table `[cache]` of config.toml: gigabytes that kept prefixes may take on the disk, 0 to keep none."""

    limit_gb: float = 4.0

    @classmethod
    def of(cls, folder: Path) -> CacheSettings:
        """Read config.toml in `folder`; without one everything is as it comes. Raises `InvalidFile`."""
        table = _table(folder, "cache", cls)
        limit = table.get(
            "limit_gb",
            cls.limit_gb,
            lambda value: _is_number(value) and 0 <= value < 1e6,
            "a number from 0 on",
        )
        return cls(float(limit))

    @property
    def limit(self) -> int:
        """The same in bytes."""
        return int(self.limit_gb * 1e9)


@dataclass(frozen=True)
class SessionSettings:
    """The table `[sessions]` of config.toml: whether chats at the prompt that nobody has named are kept."""

    keep: bool = True

    @classmethod
    def of(cls, folder: Path) -> SessionSettings:
        """Read config.toml in `folder`; without one everything is as it comes. Raises `InvalidFile`."""
        table = _table(folder, "sessions", cls)
        return cls(table.get("keep", cls.keep, lambda value: isinstance(value, bool), "`true` or `false`"))


def _table(folder: Path, name: str, settings: type[ToolSettings | CacheSettings | SessionSettings]) -> _Table:
    """A table of the file in `folder`, whose keys are the fields of `settings`."""
    path = folder / CONFIG_FILE
    tables = _Table(path, "", _parsed(path), {"tools", "cache", "sessions"})
    return tables.table(name, set(settings.__dataclass_fields__))


class _Table:
    """A table of the file, whose keys are known and whose values are of the types that are asked for."""

    def __init__(self, path: Path, name: str, values: Mapping[str, Any], known: set[str]) -> None:
        self._path = path
        self._name = name
        self._values = values
        for key in values:
            if key not in known:
                raise InvalidFile(
                    f"{path} has the key `{self._spelled(key)}`, which means nothing",
                    f"there are {', '.join(f'`{self._spelled(one)}`' for one in sorted(known))}",
                )

    def get(self, key: str, default: Any, fits: Callable[[Any], bool], expected: str) -> Any:
        """The value of `key` if it fits; `expected` says in words what would."""
        if key not in self._values:
            return default
        value = self._values[key]
        if not fits(value):
            raise InvalidFile(f"`{self._spelled(key)}` in {self._path} must be {expected}")
        return value

    def needed(self, key: str, fits: Callable[[Any], bool], expected: str) -> Any:
        """The value of `key`, which has to be there."""
        if key not in self._values:
            raise InvalidFile(f"`{self._spelled(key)}` is missing in {self._path}: it must be {expected}")
        return self.get(key, None, fits, expected)

    def table(self, key: str, known: set[str]) -> _Table:
        """The table under `key`, empty if it is not there."""
        values = self.get(key, dict[str, Any](), _is_table, "a table")
        return _Table(self._path, self._spelled(key), values, known)

    def tables(self, key: str, known: set[str]) -> list[_Table]:
        """The tables of the array under `key`."""
        values = self.get(
            key, [], lambda value: _are(value, _is_table), f"written as `[[{self._spelled(key)}]]`"
        )
        return [_Table(self._path, f"{self._spelled(key)}[{n}]", one, known) for n, one in enumerate(values)]

    def _spelled(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key


def _tool_settings(table: _Table) -> ToolSettings:
    usual = ToolSettings()
    globs = "a list of globs of `server.tool`, such as `git.*` or `git.push`"
    return ToolSettings(
        allow=tuple(table.get("allow", (), lambda value: _are(value, _is_glob), globs)),
        deny=tuple(table.get("deny", (), lambda value: _are(value, _is_glob), globs)),
        hooks=tuple(_hook(one) for one in table.tables("hooks", set(HookSettings.__dataclass_fields__))),
        search=table.get(
            "search",
            usual.search,
            lambda value: value in ("auto", "always", "never"),
            "`auto`, `always` or `never`",
        ),
        search_share=table.get("search_share", usual.search_share, _is_share, "a number between 0 and 1"),
        result_share=table.get("result_share", usual.result_share, _is_share, "a number between 0 and 1"),
        rounds=table.get(
            "rounds",
            usual.rounds,
            lambda value: _is_number(value) and isinstance(value, int) and value >= 1,
            "a whole number from 1 on",
        ),
    )


def _hook(table: _Table) -> HookSettings:
    return HookSettings(
        when=table.needed("when", lambda value: value in ("before", "after"), "`before` or `after`"),
        match=table.needed("match", _is_glob, "a glob of `server.tool`, such as `git.*` or `git.push`"),
        command=tuple(
            table.needed(
                "command",
                _is_command,
                "a list of texts: a program's name or its whole path, and arguments",
            )
        ),
        timeout_s=float(
            table.get(
                "timeout_s",
                HookSettings.timeout_s,
                lambda value: _is_number(value) and 0 < value <= _LONGEST_HOOK_S,
                f"a number of seconds up to {_LONGEST_HOOK_S:g}",
            )
        ),
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InvalidFile(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > _LIMIT:
        raise InvalidFile(f"{path} has more than {_LIMIT:,} bytes")
    # The same library, which Python 3.11 took in.
    toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        return cast("dict[str, Any]", toml.loads(data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise InvalidFile(f"{path} is no UTF-8 text (byte {error.start:,})") from None
    except toml.TOMLDecodeError as error:
        raise InvalidFile(f"{path} is no TOML: {error}") from None
    except RecursionError:
        raise InvalidFile(f"{path} is nested too deep") from None


def _is_table(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_glob(value: Any) -> bool:
    """Whether it can match anything: who denies `git`, or has it checked, must not believe that this is done."""
    return isinstance(value, str) and any(one in value for one in ".*?[")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 < value <= 1


def _are(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(fits(one) for one in cast("list[Any]", value))


def _is_command(value: Any) -> bool:
    """Whether it is the same program wherever one stands: a path from here would be whatever a project puts there."""
    if not _are(value, lambda one: isinstance(one, str) and "\0" not in one) or not value or not value[0]:
        return False
    program = Path(value[0])
    return program.name == value[0] or program.is_absolute() or value[0].startswith("~/")
