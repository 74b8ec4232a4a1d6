"""What the SDK hands back, as values of ours: blocks of results, tools, prompts, resources. Nothing is cut or saved."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from qwen3cli.tools.kinds import (
    Block,
    DataBlock,
    LinkBlock,
    RawResult,
    RemoteTool,
    ServerConfig,
    TextBlock,
)
from qwen3cli.tools.offers import PromptArgument, RemotePrompt, RemoteResource

if TYPE_CHECKING:
    import mcp_types


def result_of(answer: mcp_types.CallToolResult) -> RawResult:
    """A call's result."""
    blocks = tuple(block_of(block) for block in answer.content)
    return RawResult(blocks, bool(answer.is_error), answer.structured_content)


def block_of(block: mcp_types.ContentBlock) -> Block:
    """One block of a result or a prompt."""
    import mcp_types

    match block:
        case mcp_types.TextContent():
            return TextBlock(block.text)
        case mcp_types.ImageContent() | mcp_types.AudioContent():
            return data_block(block.mime_type, block.data)
        case mcp_types.ResourceLink():
            return LinkBlock(str(block.uri), block.name, block.description or "")
        case mcp_types.EmbeddedResource():
            return resource_block(block.resource)


def resource_block(
    resource: mcp_types.TextResourceContents | mcp_types.BlobResourceContents,
) -> Block:
    """The contents of one resource."""
    import mcp_types

    if isinstance(resource, mcp_types.TextResourceContents):
        return TextBlock(resource.text)
    return data_block(resource.mime_type or "application/octet-stream", resource.blob, str(resource.uri))


def data_block(mime: str, data: str, uri: str = "") -> Block:
    """Decoded data; what cannot be decoded is said in its place."""
    try:
        return DataBlock(mime, base64.b64decode(data, validate=True), uri)
    except (binascii.Error, ValueError):
        return TextBlock(f"[{mime} that cannot be decoded]")


def message_text(block: mcp_types.ContentBlock) -> str:
    """A block of a prompt as text; what is none is named in its place."""
    match block_of(block):
        case TextBlock(text):
            return text
        case DataBlock(mime):
            return f"[{mime}]"
        case LinkBlock(uri):
            return uri


def tool_of(config: ServerConfig, tool: mcp_types.Tool) -> RemoteTool:
    """A tool as it is described."""
    notes = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {}
    return RemoteTool(
        config.name, tool.name, tool.description or "", tool.input_schema, tool.title or "", notes
    )


def wanted(config: ServerConfig, tools: Iterable[RemoteTool]) -> list[RemoteTool]:
    """Those that `include` and `exclude` let through."""

    def named(name: str, globs: tuple[str, ...]) -> bool:
        return any(fnmatchcase(name, glob) for glob in globs)

    return [
        tool
        for tool in tools
        if (not config.include or named(tool.name, config.include)) and not named(tool.name, config.exclude)
    ]


def prompt_of(server: str, prompt: mcp_types.Prompt) -> RemotePrompt:
    """A prompt as it is described."""
    arguments = tuple(
        PromptArgument(one.name, one.description or "", bool(one.required)) for one in prompt.arguments or ()
    )
    return RemotePrompt(server, prompt.name, prompt.description or "", arguments)


def resource_of(server: str, resource: mcp_types.Resource) -> RemoteResource:
    """A resource as it is described."""
    return RemoteResource(
        server, str(resource.uri), resource.name, resource.description or "", resource.mime_type or ""
    )
