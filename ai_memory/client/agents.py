"""The one table of agents: what each sends, what it accepts as an answer, where a handoff reaches its model.

Pure data, and the lowest row of the house: the hook client reads it in its first milliseconds (so no
dataclasses here, they cost 5 ms), the installer takes the events from it, the server maps payloads by it.
The facts were measured on Claude Code 2.1.328, Codex 0.169.0, Gemini CLI 0.61.0 and OpenCode 1.18.33.
"""

from __future__ import annotations

#: Stems: the canonical names of lifecycle events, as `event=` on the wire and as the hook's argument.
STEMS = (
    "session-start",
    "user-prompt",
    "pre-tool-use",
    "post-tool-use",
    "pre-compact",
    "post-compaction",
    "notification",
    "stop",
    "session-end",
    "subagent-start",
    "subagent-stop",
)

#: The names under which `install-mcp` registers the MCP server, and their other spellings; its tools are our own.
MCP_SERVER_NAMES = (
    "ai-memory",
    "ai_memory",
    "aimemory",
    "ai-memory-records",
    "ai_memory_records",
    "ai-memory-memories",
    "ai_memory_memories",
)


class Agent:
    """One agent's facts.

    Attributes:
        name: the wire name (`agent=`).
        title: the name a person knows.
        aliases: other spellings of the wire name.
        events: the agent's own event name -> stem; "" marks an event that is never worth storing.
        installed: the agent's own names of the events that `install-hooks` registers, in file order.
        start_reply: how context travels at session start: "hook-json" or "text".
        injects: whether text printed at session start was seen in the model's request.
        own_tool: prefixes of the names under which our own MCP tools appear; `{}` is the server's name.
        context_limit: characters (UTF-16 units) of injected text that arrive whole.
    """

    __slots__ = (
        "aliases",
        "context_limit",
        "events",
        "injects",
        "installed",
        "name",
        "own_tool",
        "start_reply",
        "title",
    )

    def __init__(
        self,
        name: str,
        title: str,
        *,
        aliases: tuple[str, ...] = (),
        events: dict[str, str] | None = None,
        installed: tuple[str, ...] = (),
        start_reply: str = "hook-json",
        injects: bool = True,
        own_tool: tuple[str, ...] = ("mcp__{}__", "mcp_{}_", "{}_"),
        context_limit: int = 10_000,
    ) -> None:
        self.name = name
        self.title = title
        self.aliases = aliases
        self.events = events or {}
        self.installed = installed
        self.start_reply = start_reply
        self.injects = injects
        self.own_tool = own_tool
        self.context_limit = context_limit


_CLAUDE_EVENTS = {
    "SessionStart": "session-start",
    "UserPromptSubmit": "user-prompt",
    "PreToolUse": "pre-tool-use",
    "PostToolUse": "post-tool-use",
    "PostToolUseFailure": "post-tool-use",
    "PreCompact": "pre-compact",
    "PostCompact": "post-compaction",
    "Notification": "notification",
    "Stop": "stop",
    "StopFailure": "stop",
    "SessionEnd": "session-end",
    "SubagentStart": "subagent-start",
    "SubagentStop": "subagent-stop",
    # Each of these repeats what another event says, or says nothing about the work.
    "UserPromptExpansion": "",
    "PostToolBatch": "",
    "PermissionRequest": "",
    "PermissionDenied": "",
    "InstructionsLoaded": "",
    "MessageDisplay": "",
}

_TABLE = (
    Agent(
        "claude-code",
        "Claude Code",
        aliases=("claude_code", "claude"),
        events=_CLAUDE_EVENTS,
        # No PreToolUse: the completed call says the same, and a hook costs the agent 10 ms.
        installed=(
            "SessionStart",
            "UserPromptSubmit",
            "PostToolUse",
            "PostToolUseFailure",
            "PreCompact",
            "PostCompact",
            "Stop",
            "StopFailure",
            "SessionEnd",
        ),
        own_tool=("mcp__{}__",),
    ),
    Agent(
        "codex",
        "Codex",
        events={
            "SessionStart": "session-start",
            "UserPromptSubmit": "user-prompt",
            "PreToolUse": "pre-tool-use",
            "PostToolUse": "post-tool-use",
            "PreCompact": "pre-compact",
            "PostCompact": "post-compaction",
            "Stop": "stop",
            # Codex sends Interrupt instead of Stop when the user presses Esc.
            "Interrupt": "stop",
            "SessionEnd": "session-end",
            "SubagentStart": "subagent-start",
            "SubagentStop": "subagent-stop",
            "PreModelRequest": "",
            "PermissionRequest": "",
        },
        # The position of an entry is part of what the user approved: append only, never reorder.
        installed=(
            "SessionStart",
            "UserPromptSubmit",
            "PostToolUse",
            "PreCompact",
            "PostCompact",
            "Stop",
            "Interrupt",
            "SessionEnd",
        ),
        own_tool=("mcp__{}__",),
    ),
    Agent(
        "gemini-cli",
        "Gemini CLI",
        aliases=("gemini", "gemini_cli"),
        events={
            "SessionStart": "session-start",
            "BeforeAgent": "user-prompt",
            "BeforeTool": "pre-tool-use",
            "AfterTool": "post-tool-use",
            "AfterAgent": "stop",
            "SessionEnd": "session-end",
            "Notification": "notification",
            # Fires before every model call, also when nothing is compressed.
            "PreCompress": "",
            "BeforeModel": "",
            "AfterModel": "",
            "BeforeToolSelection": "",
        },
        installed=("SessionStart", "BeforeAgent", "AfterTool", "AfterAgent", "SessionEnd"),
        own_tool=("mcp_{}_",),
    ),
    Agent(
        "open-code",
        "OpenCode",
        aliases=("opencode", "open_code", "opencode2", "opencode-v2", "open-code2"),
        events={
            "session.created": "session-start",
            "chat.message": "user-prompt",
            "tool.execute.before": "pre-tool-use",
            "tool.execute.after": "post-tool-use",
            "experimental.text.complete": "stop",
            "dispose": "session-end",
            "session.deleted": "session-end",
            # The bus and the hooks that only shape a request: they repeat what the events above say.
            "message.updated": "",
            "message.part.updated": "",
            "message.part.delta": "",
            "session.updated": "",
            "session.status": "",
            "session.idle": "",
            "session.diff": "",
            "file.edited": "",
            "file.watcher.updated": "",
            "chat.params": "",
            "chat.headers": "",
            "shell.env": "",
            "experimental.chat.messages.transform": "",
            "experimental.chat.system.transform": "",
        },
        # The generated plugin calls the hook client with these.
        installed=(
            "session.created",
            "chat.message",
            "tool.execute.after",
            "experimental.text.complete",
            "dispose",
        ),
        start_reply="text",
        own_tool=("{}_",),
    ),
    Agent("cursor", "Cursor"),
    Agent("claude-desktop", "Claude Desktop", injects=False),
    Agent("openclaw", "OpenClaw", aliases=("open-claw",)),
    Agent("antigravity-cli", "Antigravity", aliases=("antigravity", "agy")),
    Agent("omp", "OMP", aliases=("oh-my-pi",)),
    Agent("pi", "Pi"),
    Agent("crush", "Crush", injects=False),
    Agent("grok", "Grok", injects=False),
    Agent("zero", "Zero", injects=False),
    Agent("devin", "Devin"),
    Agent("kimi-code", "Kimi Code", aliases=("kimi",), injects=False),
    Agent("kiro-cli", "Kiro", aliases=("kiro",), start_reply="text"),
    Agent("command-code", "Command Code", aliases=("commandcode", "cmdc", "cmd")),
    Agent("hermes", "Hermes", aliases=("hermes-agent",), injects=False),
    Agent("pool", "Pool", aliases=("poolside",), injects=False),
    Agent("zcode", "ZCode", aliases=("zai",)),
    Agent("copilot-cli", "Copilot CLI"),
)

#: Any agent that the table does not know; it never claims a handoff, because nobody saw it arrive.
OTHER = Agent("other", "another agent", injects=False)

AGENTS: dict[str, Agent] = {agent.name: agent for agent in _TABLE}
_BY_SPELLING: dict[str, Agent] = {spelling: agent for agent in _TABLE for spelling in (agent.name, *agent.aliases)}


def agent_named(spelling: str) -> Agent:
    """Find an agent by wire name or alias; an unknown spelling is `OTHER`."""
    return _BY_SPELLING.get(spelling.strip().lower(), OTHER)
