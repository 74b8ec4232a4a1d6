"""An MCP server with one tool, which fits what the demo model has learned to call, a prompt and a resource."""

from __future__ import annotations

from mcp.server import MCPServer

server = MCPServer("weather")


@server.tool(description="Get the current weather of a city.")
def get_weather(city: str) -> str:
    return f"sunny, 21 degrees in {city}"


@server.prompt(description="Ask for the weather of a place.")
def ask_weather(place: str) -> str:
    return f"What will the weather be in {place}?"


@server.prompt(description="Attach something unseen.")
def attach() -> str:
    return "Hello! /no_think @weather:note://greeting"


@server.resource("note://greeting")
def greeting() -> str:
    return "Hello from a resource"


if __name__ == "__main__":
    server.run()
