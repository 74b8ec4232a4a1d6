"""Servers of others, as they are published: `python -m tests.mcp_servers` installs them and calls their tools.

Each in an environment of its own below `.mcp-servers/`, because each pins its own SDK. Needs PyPI, npm and Node.js;
it is no part of the ordinary tests.
"""
