"""`ai-memory`, with the tools that the conformance suite calls beside those of the wiki."""

from dataclasses import replace

from ai_memory.cli import main
from ai_memory.errors import BadRequestError
from ai_memory.server.mcp import toolsets
from ai_memory.server.mcp.tool import Arguments, Tool


class Nothing(Arguments):
    """No arguments."""


def text(_, __):
    return {"text": "This is a simple text response for testing."}


def fails(_, __):
    raise BadRequestError("This tool intentionally returns an error for testing")


def steps(caller, _):
    for done in (0, 50, 100):
        caller.progress(done, 100, f"Completed {done} of 100")
    return {"done": True}


SUITE = (
    Tool("test_simple_text", "Text", "Says something.", Nothing, text, reads=True),
    Tool("test_error_handling", "Error", "Fails.", Nothing, fails, reads=True),
    Tool("test_tool_with_progress", "Progress", "Takes three steps.", Nothing, steps, reads=True),
    Tool("test_logging_tool", "No log", "Logs nothing to a client that did not ask for it.", Nothing, text, reads=True),
)

if __name__ == "__main__":
    wiki = toolsets.ADDRESSES["/mcp"]
    toolsets.ADDRESSES = {**toolsets.ADDRESSES, "/mcp": replace(wiki, tools=(*wiki.tools, *SUITE))}
    main()
