"""MCP: tools for agents, over three transports. Only `serve` imports this package: the SDK takes half a second."""
