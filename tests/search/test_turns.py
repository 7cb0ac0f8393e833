from datetime import UTC, datetime

import pytest

from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.search.chunks import identifiers
from ai_memory.search.turns import turn_of
from ai_memory.store.turn_index import Turn

RUN = ToolCall("Bash", "error", Scrubbed("pytest -q"))
READ = ToolCall("Read", "success", files=(Scrubbed("src/cartTotals.py"), Scrubbed("b.py")))


def observed(kind, body="", tool=None):
    return Observation(
        datetime(2026, 3, 3, tzinfo=UTC), kind, "codex", "", Scrubbed("title"), Scrubbed(body), tool=tool
    )


@pytest.mark.parametrize(
    ("kind", "body", "tool", "name", "text"),
    [
        (Kind.USER_PROMPT, "fix parseTotals", None, "prompt", "fix parseTotals"),
        (Kind.STOP, "fixed", None, "answer", "fixed"),
        (Kind.POST_COMPACTION, "so far", None, "summary", "so far"),
        (Kind.POST_TOOL_USE, "1 failed", RUN, "tool", "Bash pytest -q\n1 failed"),
        (Kind.POST_TOOL_USE, "", RUN, "tool", "Bash pytest -q"),
        (Kind.POST_TOOL_USE, "read both", READ, "tool", "Read src/cartTotals.py b.py\nread both"),
        (Kind.POST_TOOL_USE, "found it", ToolCall("Grep"), "tool", "Grep\nfound it"),
    ],
)
def test_what_was_said_or_done_is_a_turn_with_its_whole_text(kind, body, tool, name, text):
    assert turn_of(observed(kind, body, tool), 7) == Turn(7, name, text, identifiers(text))


def test_the_words_inside_of_others_are_searched_as_well():
    turn = turn_of(observed(Kind.POST_TOOL_USE, "read both", READ), 0)
    assert "cart" in turn.words.split()


@pytest.mark.parametrize("kind", [Kind.USER_PROMPT, Kind.STOP, Kind.POST_COMPACTION])
def test_what_has_no_text_is_no_turn(kind):
    assert turn_of(observed(kind), 0) is None
    assert turn_of(observed(Kind.POST_TOOL_USE, "", ToolCall("Task")), 0) is None


@pytest.mark.parametrize(
    "kind", sorted(set(Kind) - {Kind.USER_PROMPT, Kind.STOP, Kind.POST_COMPACTION, Kind.POST_TOOL_USE})
)
def test_other_events_are_no_turns(kind):
    assert turn_of(observed(kind, "something", RUN), 0) is None
