"""A real MCP server over stdio, for the tests: one tool that works, one that fails."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

server = MCPServer("shop")


@server.tool()
def order_status(order: int) -> str:
    """The status of an order."""
    return f"order {order} is on its way"


@server.tool()
def refund(order: int) -> str:
    """Fails."""
    raise ValueError("no such order")


if __name__ == "__main__":
    server.run("stdio")
