"""What models are told: short enough for every client, and each tool explained in one place."""

import re

import pytest

from ai_memory.client import routing
from ai_memory.install import skills
from ai_memory.server.mcp.toolsets import WIKI

INSTRUCTIONS = {
    "wiki": routing.INSTRUCTIONS,
    "records": routing.RECORDS_INSTRUCTIONS,
    "memories": routing.MEMORIES_INSTRUCTIONS,
}
EVERY_TEXT = [*INSTRUCTIONS.values(), routing.BLOCK, routing.COMPACT_BLOCK, *(one.content for one in routing.SKILLS)]


@pytest.mark.parametrize("text", INSTRUCTIONS.values(), ids=INSTRUCTIONS)
def test_instructions_arrive_whole_in_every_client(text):
    assert len(text) <= routing.INSTRUCTIONS_LIMIT
    # Some clients count UTF-16 units.
    assert len(text.encode("utf-16-le")) / 2 <= routing.INSTRUCTIONS_LIMIT


def test_the_instructions_say_when_to_search_and_write_what_a_handoff_means_and_what_to_trust():
    starts = [
        line.split(" ")[0].strip(".") for line in routing.INSTRUCTIONS.split("\n") if line.split(" ")[0].isupper()
    ]
    assert starts == ["SEARCH", "WRITE", "HANDOFF", "SCOPE", "SAFETY"]
    said = named(routing.INSTRUCTIONS)
    assert {"memory_query", "memory_write_page", "memory_handoff_accept"} <= said


def test_every_tool_is_explained_in_exactly_one_skill():
    places = {tool.name: [one.name for one in routing.SKILLS if tool.name in named(one.content)] for tool in WIKI.tools}
    assert {name: found for name, found in places.items() if len(found) != 1} == {}


@pytest.mark.parametrize("text", EVERY_TEXT)
def test_no_text_names_a_tool_of_the_wiki_that_is_not_there(text):
    others = named(routing.RECORDS_INSTRUCTIONS)
    assert named(text) - {tool.name for tool in WIKI.tools} - others == set()


@pytest.mark.parametrize("skill", routing.SKILLS, ids=lambda one: one.name)
def test_a_skill_is_a_file_that_agents_and_the_uninstall_recognise(skill):
    lines = skill.content.split("\n")
    assert lines[:4] == ["---", f"name: {skill.name}", f"description: {skill.description}", "---"]
    assert lines[4] == routing.SKILL_MARKER
    assert len(skill.description) <= 1024
    # It is a plain YAML scalar: a colon and a space would end it.
    assert ": " not in skill.description
    assert "\r" not in skill.content
    assert skill.content.endswith("\n")
    assert skill.relative_path == f"{skill.name}/SKILL.md"


def test_a_block_stands_between_its_marker_lines():
    for block in (routing.BLOCK, routing.COMPACT_BLOCK):
        lines = routing.markered(block).split("\n")
        assert (lines[0], lines[-2], lines[-1]) == (routing.MARKER_START, routing.MARKER_END, "")
        assert lines[1] == "## Long-term memory (ai-memory)"
        assert routing.MARKER_START not in block
    assert len(routing.COMPACT_BLOCK) < len(routing.BLOCK)


def test_the_names_of_skills_are_folders_of_their_own():
    assert len({one.name for one in routing.SKILLS}) == len(routing.SKILLS) == 5
    assert set(skills.BOTH) <= set(skills.ROOTS)


def named(text):
    return set(re.findall(r"\bmemory_[a-z_]+", text))
