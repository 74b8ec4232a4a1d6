"""The client that the conformance suite runs: connects to the URL it is given, and calls every tool there is."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwen3cli.tools.kinds import RemoteTool, ServerConfig
from qwen3cli.tools.mcp_host import McpHost

EXAMPLES: dict[str, Any] = {
    "integer": 2,
    "number": 2,
    "string": "text",
    "boolean": True,
    "array": [],
    "object": {},
}


def agree(server: str, message: str, schema: Mapping[str, Any], _: threading.Event) -> Mapping[str, Any]:
    """Answer a server's question with its defaults."""
    fields = schema.get("properties", {})
    return {name: field["default"] for name, field in fields.items() if "default" in field}


def arguments(tool: RemoteTool) -> dict[str, Any]:
    """Arguments that are of the right types."""
    fields = tool.schema.get("properties", {})
    return {name: EXAMPLES[field.get("type", "string")] for name, field in fields.items()}


def visit(url: str) -> None:
    """Be the browser of a login."""
    with urllib.request.urlopen(url) as page:
        page.read()


def main(url: str) -> int:
    """What the suite wants to see depends on the scenario; what we do does not."""
    config = ServerConfig("conformance", "http", url=url)
    with tempfile.TemporaryDirectory() as folder:
        host = McpHost([config], Path(folder), elicit=agree, open_url=visit)
        host.start()
        host.wait()
        for tool in host.tools():
            result = host.call(
                "conformance", tool.name, arguments(tool), watch=print, cancelled=threading.Event()
            )
            print(tool.label, result)
        failed = [status.reason for status in host.status() if status.state != "ready"]
        host.close()
    print(os.environ.get("MCP_CONFORMANCE_SCENARIO", ""), failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1]))
