"""Which tools are offered together, in which order, and what a model is told with them."""

from __future__ import annotations

from types import MappingProxyType

from ai_memory.client import routing
from ai_memory.server import users
from ai_memory.server.mcp.tool import Toolset
from ai_memory.server.mcp.tools import briefing, care, handoffs, memories, packets, pages, records, search, sessions
from ai_memory.server.mcp.tools import routing as instructions

#: The wiki: what a coding agent works with. The most used come first.
WIKI = Toolset(
    "wiki",
    routing.INSTRUCTIONS,
    (
        *search.TOOLS,
        *pages.TOOLS,
        *briefing.TOOLS,
        *handoffs.TOOLS,
        *sessions.TOOLS,
        *care.TOOLS,
        *instructions.TOOLS,
    ),
)

#: Notes, logs of sessions and narratives, under the names that other clients know.
RECORDS = Toolset("records", records.INSTRUCTIONS, records.TOOLS)

#: What each user's agents keep for themselves, by repository.
MEMORIES = Toolset("memories", memories.INSTRUCTIONS, memories.TOOLS, of_user=True)

#: What an agent leaves for another tool, model or machine: each user's own, and those of teams.
PACKETS = Toolset(users.PACKETS, packets.INSTRUCTIONS, packets.TOOLS, of_user=True)

#: Where each is offered.
ADDRESSES = MappingProxyType(
    {"/mcp": WIKI, "/mcp/records": RECORDS, f"/mcp/{users.TOOLSET}": MEMORIES, f"/mcp/{users.PACKETS}": PACKETS}
)
