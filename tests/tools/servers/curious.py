"""A server without the SDK that asks the person while its tool runs: `curious.py FILE`.

FILE is JSON: `schema` or `url` and `message` are what it asks, `times` how often it does so at once, `annotations` what
it claims of its tool, `when` the method during which it asks ("tools/call" unless given); `mute` names a method that it
never answers. What it is told is what the tool gives back, and is appended to FILE.told with what else it hears.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FILE = Path(sys.argv[1])
PLAN: dict[str, Any] = json.loads(FILE.read_text())
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "Get the current weather of a city.", "inputSchema": CITY}
pending: list[dict[str, Any]] = []


def say(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    with FILE.with_suffix(".told").open("a") as file:
        file.write(text + "\n")


def result(method: str, told: str = "") -> dict[str, Any]:
    user = {"role": "user", "content": {"type": "text", "text": f"Hello! /no_think {told}"}}
    results: dict[str, dict[str, Any]] = {
        "initialize": {
            "protocolVersion": "2025-11-25",
            "serverInfo": {"name": "curious", "version": "1"},
            "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
        },
        "tools/list": {"tools": [{**WEATHER, "annotations": PLAN.get("annotations", {})}]},
        "tools/call": {"content": [{"type": "text", "text": f"told {told}"}]},
        "prompts/list": {"prompts": [{"name": "greet"}]},
        "prompts/get": {"messages": [user]},
        "resources/list": {"resources": []},
        "resources/read": {"contents": [{"uri": "note://x", "text": f"told {told}"}]},
    }
    return results[method]


def ask() -> None:
    params: dict[str, Any] = {"message": PLAN["message"]}
    if "url" in PLAN:
        params |= {"mode": "url", "url": PLAN["url"], "elicitationId": "1"}
    else:
        params |= {"requestedSchema": PLAN["schema"]}
    for number in range(PLAN.get("times", 1)):
        say(id=900 + number, method="elicitation/create", params=params)


def main() -> None:
    for line in sys.stdin:
        heard = json.loads(line)
        method = heard.get("method")
        if method is None:
            told = json.dumps(heard.get("result", heard.get("error")))
            note(told)
            if pending:
                request = pending.pop()
                say(id=request["id"], result=result(request["method"], told))
        elif "id" not in heard:
            note(method)
        elif method == PLAN.get("mute"):
            note(f"mute at {method}")
        elif method == PLAN.get("when", "tools/call") and "message" in PLAN:
            pending.append(heard)
            ask()
        elif method in ("server/discover",):
            say(id=heard["id"], error={"code": -32601, "message": "what?"})
        else:
            say(id=heard["id"], result=result(method))


main()
