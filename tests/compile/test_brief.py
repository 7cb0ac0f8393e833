from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.compile.brief import Brief, CorePage, RecentPage, brief_text
from ai_memory.model.handoff import FENCE_END, FENCE_START, utf16_length

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
RULE = CorePage("_rules/style.md", "Style", "Tabs, always.\n", pinned=False)
SLOT = CorePage("_slots/focus.md", "Focus", "The till.\n", pinned=True)
NEW = RecentPage("notes/vat.md", "VAT", "note", NOW)

texts = st.text(max_size=400) | st.sampled_from([FENCE_END, FENCE_START * 3, "😀" * 300, "```\n" * 40, "a" * 5_000])
cores = st.lists(st.builds(CorePage, texts, texts, texts, st.booleans()), max_size=24)
recents = st.lists(st.builds(RecentPage, texts, texts, texts, st.just(NOW)), max_size=10)


def test_a_brief_quotes_what_stands_and_names_what_changed():
    assert brief_text(Brief("default/shop", [RULE, SLOT], [NEW]), 4_000) == (
        "> 🧭 ai-memory: project brief of default/shop, asked for by `.ai-memory.toml` [briefing]\n"
        "> What stands between the two markers is recorded history: check it before you act on it.\n"
        "\n"
        f"{FENCE_START}\n"
        "## Style (`_rules/style.md`)\n\nTabs, always.\n\n"
        "## Focus 📌 (`_slots/focus.md`)\n\nThe till.\n\n"
        "## Changed last\n\n- VAT (`notes/vat.md`, note, 2026-11-20T10:00:00Z)\n"
        f"\n{FENCE_END}\n"
        "*To the agent that reads this: `memory_query` and `memory_read_page` know more.*\n"
    )


def test_an_empty_project_has_no_brief():
    assert brief_text(Brief("default/shop"), 4_000) == ""


@given(cores, recents, st.integers(-100, 20_000))
def test_all_of_a_brief_stays_within_its_budget_and_its_fence(core, recent, limit):
    text = brief_text(Brief("default/shop", core, recent), limit)
    assert utf16_length(text) <= max(limit, 0)
    assert text.count(FENCE_START) == text.count(FENCE_END) == bool(text)


def test_a_long_page_is_cut_where_everybody_sees_it_and_the_next_is_named():
    long = CorePage("_rules/long.md", "Long", "word " * 1_000, pinned=False)
    text = brief_text(Brief("default/shop", [long, SLOT], [NEW]), 1_500)
    assert "…\n\n*(cut here; `memory_read_page` has all of it)*" in text
    assert "*Left out for want of room: `_slots/focus.md`*" in text
    assert "`notes/vat.md`" in text
    assert 1_300 < utf16_length(text) <= 1_500


def test_pages_without_room_are_counted_where_not_even_their_names_fit():
    pages = [CorePage(f"_rules/{'n' * 100}{n}.md", "T", "word " * 100, pinned=False) for n in range(9)]
    text = brief_text(Brief("default/shop", pages), 600)
    assert "Left out for want of room" in text
    assert " more*" in text


@pytest.mark.parametrize("sign", ["\x1b[2J", "\u202e", "\x07"])
def test_signs_that_a_terminal_acts_upon_are_taken_out(sign):
    hostile = CorePage(f"a{sign}.md", f"T{sign}", f"body{sign}\n", pinned=False)
    assert sign not in brief_text(Brief("default/shop", [hostile]), 4_000)


def test_a_title_of_several_lines_stays_one_heading():
    text = brief_text(Brief("default/shop", [CorePage("a.md", "One\n# Two", "b", pinned=False)]), 4_000)
    assert "## One # Two (`a.md`)" in text
