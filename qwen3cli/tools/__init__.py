"""Tools: MCP servers, and the trust that a person puts into what they do."""
