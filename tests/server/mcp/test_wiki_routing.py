"""The instructions that a model can put into a project's files."""

import re

import pytest
from pydantic import ValidationError

from ai_memory.client import routing

OTHERS = "codex opencode cursor gemini_cli antigravity_cli zero devin kimi_code command_code grok default".split()


@pytest.mark.parametrize(("compact", "block"), [(False, routing.BLOCK), (True, routing.COMPACT_BLOCK)])
def test_the_block_and_the_skills_come_with_where_they_belong(desk, compact, block):
    before = desk.everything()
    answer = desk.call("memory_install_self_routing", compact=compact)
    notes = answer.pop("notes")
    assert len(notes) == 3
    assert answer == {
        "markered_block": f"<!-- ai-memory:start -->\n{block.strip()}\n<!-- ai-memory:end -->\n",
        "compact": compact,
        "marker_start": "<!-- ai-memory:start -->",
        "marker_end": "<!-- ai-memory:end -->",
        "agent_filenames": {"claude_code": "CLAUDE.md", **dict.fromkeys(OTHERS, "AGENTS.md")},
        "managed_skills": [
            {
                "name": skill.name,
                "description": skill.description,
                "relative_path": f"{skill.name}/SKILL.md",
                "content": skill.content,
            }
            for skill in routing.SKILLS
        ],
        "target_hints": {
            "project": [".claude/skills", ".agents/skills", ".devin/skills", ".grok/skills"],
            "global": ["~/.claude/skills", "~/.agents/skills", "~/.devin/skills", "$GROK_HOME/skills"],
        },
        "overwrite_guidance": {
            "managed_marker": "<!-- ai-memory-managed: routing-skill -->",
            "with_marker": "The file is ours: replace it whole.",
            "without_marker": "Somebody else wrote the file: leave it as it is, unless the user says otherwise.",
        },
    }
    assert desk.everything() == before


def test_every_skill_carries_the_mark_by_which_it_may_be_replaced(desk):
    answer = desk.call("memory_install_self_routing")
    marker = answer["overwrite_guidance"]["managed_marker"]
    assert len(answer["managed_skills"]) >= 5
    assert all(marker in skill["content"] for skill in answer["managed_skills"])


def test_the_instructions_are_asked_for_without_a_project(desk):
    with pytest.raises(ValidationError):
        desk.call("memory_install_self_routing", project="shop")
    with pytest.raises(ValidationError):
        desk.call("memory_install_self_routing", compact="yes")


def test_the_instructions_of_the_wiki_name_only_tools_that_it_has(desk):
    texts = [routing.INSTRUCTIONS, routing.BLOCK, routing.COMPACT_BLOCK, *(skill.content for skill in routing.SKILLS)]
    named = {name for text in texts for name in re.findall(r"\bmemory_[a-z_]+", text)}
    assert named - desk.tools.keys() == set()
