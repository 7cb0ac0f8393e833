"""The tool that gives the texts which tell agents how to use this memory, to be put into a project's files."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ai_memory.client import routing
from ai_memory.server.mcp.tool import Arguments, Caller, Tool

_CLAUDE, _OTHERS = "CLAUDE.md", "AGENTS.md"
_AGENTS = (
    "codex",
    "opencode",
    "cursor",
    "gemini_cli",
    "antigravity_cli",
    "zero",
    "devin",
    "kimi_code",
    "command_code",
    "grok",
    "default",
)


class Install(Arguments):
    """What `memory_install_self_routing` takes."""

    compact: bool = Field(False, description="The short block, for who gets the skills, too.")


def install(_: Caller, asks: Install) -> Mapping[str, object]:
    """Give the block, the skills, and where they belong. Nothing is written."""
    return {
        "markered_block": routing.markered(routing.COMPACT_BLOCK if asks.compact else routing.BLOCK),
        "compact": asks.compact,
        "marker_start": routing.MARKER_START,
        "marker_end": routing.MARKER_END,
        "agent_filenames": {"claude_code": _CLAUDE, **dict.fromkeys(_AGENTS, _OTHERS)},
        "managed_skills": [
            {
                "name": skill.name,
                "description": skill.description,
                "relative_path": skill.relative_path,
                "content": skill.content,
            }
            for skill in routing.SKILLS
        ],
        "target_hints": {
            "project": [".claude/skills", ".agents/skills", ".devin/skills", ".grok/skills"],
            "global": ["~/.claude/skills", "~/.agents/skills", "~/.devin/skills", "$GROK_HOME/skills"],
        },
        "overwrite_guidance": {
            "managed_marker": routing.SKILL_MARKER,
            "with_marker": "The file is ours: replace it whole.",
            "without_marker": "Somebody else wrote the file: leave it as it is, unless the user says otherwise.",
        },
        "notes": [
            "Between the marker lines replace everything; without them add the block at the end, after an empty line.",
            "Change nothing else in the file, and show the user the difference first.",
            "Where there is a terminal, `ai-memory install-instructions` does all of this.",
        ],
    }


TOOLS = (
    Tool(
        "memory_install_self_routing",
        "Instructions for agents",
        "Give the block for CLAUDE.md or AGENTS.md, and the skills, that tell agents when to use this memory. Call it "
        "when the user asks to set them up; it writes nothing.",
        Install,
        install,
        reads=True,
    ),
)
