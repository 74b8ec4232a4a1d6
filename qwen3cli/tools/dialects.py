"""The servers that a file lists, in the dialect of any host; variables in them stay as they are written.

Known are `mcpServers` (Claude, Cursor, LM Studio, Qwen-Agent), VS Code's `servers` with `inputs` (also within `mcp`,
as in its settings), Qwen Code's `httpUrl`, `trust`, `includeTools`, `excludeTools` and `timeout` in milliseconds, and
mcphost's `allowedTools`, `excludedTools`, `environment`, commands as lists and headers as lines.

Where no type is given: `httpUrl` is streamable HTTP; `url` is SSE in a file that has an `httpUrl` somewhere, or when
it ends in `/sse`, else streamable HTTP. What is not understood becomes a notice that names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qwen3cli.errors import InvalidFile
from qwen3cli.tools.entries import NAME_RULE, SERVER_NAME, Listed, ServerReader, not_understood
from qwen3cli.tools.fields import Field, read_members


@dataclass(frozen=True)
class Input:
    """A value that the file `source` wants a person to be asked for; a `password` is not to be shown."""

    id: str
    kind: str = "promptString"
    description: str = ""
    default: str = ""
    password: bool = False
    options: tuple[str, ...] = ()
    source: Path = field(default_factory=Path)


@dataclass(frozen=True)
class Listing:
    """What one file says."""

    path: Path
    servers: tuple[Listed, ...] = ()
    inputs: Mapping[str, Input] = field(default_factory=dict[str, Input])
    notices: tuple[str, ...] = ()


def list_servers(path: Path, text: str) -> Listing:
    """What the file at `path`, whose text is given, lists; raises `InvalidFile`."""
    members = dict(read_members(path, text))
    settings = members["mcp"].members() if "mcp" in members else {}
    if "servers" in settings and not settings.keys() & members.keys():
        del members["mcp"]
        members |= settings
    groups = [members.pop(key) for key in ("mcpServers", "servers") if key in members]
    inputs = members.pop("inputs", None)
    members.pop("$schema", None)
    if members and not groups:
        raise InvalidFile(
            f"`{path}` has neither `mcpServers` nor `servers`",
            'it looks like this: {"mcpServers": {"NAME": {"command": "…", "args": ["…"]}}}',
        )
    notices = [not_understood(f"`{path}`", members)] if members else []
    servers = _read_groups(groups, notices)
    return Listing(path, tuple(servers), _read_inputs(inputs), tuple(notices))


def _read_groups(groups: Sequence[Field], notices: list[str]) -> list[Listed]:
    entries = [(name, entry) for group in groups for name, entry in group.members().items()]
    knows_http_url = any("httpUrl" in entry.members() for _, entry in entries)
    servers: dict[str, Listed] = {}
    for name, entry in entries:
        if not SERVER_NAME.fullmatch(name):
            raise entry.refusal("is no name that a server can have", f"a name has {NAME_RULE}")
        if name in servers:
            raise entry.refusal("is there twice, in `mcpServers` and in `servers`", "remove one of them")
        reader = ServerReader(name, entry, knows_http_url)
        server = reader.read()
        if server is not None:
            servers[name] = server
        notices.extend(reader.notices)
    return list(servers.values())


def _read_inputs(inputs: Field | None) -> dict[str, Input]:
    if inputs is None:
        return {}
    found: dict[str, Input] = {}
    for item in inputs.items():
        members = item.members()
        if "id" not in members:
            raise item.refusal("has no `id`")
        one = Input(
            id=members["id"].string(),
            kind=members["type"].string() if "type" in members else "promptString",
            description=members["description"].string() if "description" in members else "",
            default=members["default"].string() if "default" in members else "",
            password=members["password"].flag() if "password" in members else False,
            options=_options(members["options"]) if "options" in members else (),
            source=item.path,
        )
        if one.id in found:
            raise members["id"].refusal(f"`{one.id}` is there twice")
        found[one.id] = one
    return found


def _options(field_: Field) -> tuple[str, ...]:
    """What can be picked: texts, or objects of a `label` and its `value`."""
    options: list[str] = []
    for item in field_.items():
        if item.is_text:
            options.append(item.string())
        elif "value" in (members := item.members()):
            options.append(members["value"].string())
        else:
            raise item.refusal("has no `value`")
    return tuple(options)
