from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.handoff import (
    FENCE_END,
    FENCE_START,
    TEXT_LIMIT,
    Handoff,
    Receiver,
    best,
    rendered,
    superseded,
    utf16_length,
    within_limits,
)

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
CODEX = Receiver(UUID(int=99), "codex", "/w/shop")


def handoff(number=1, **more):
    fields = {
        "id": UUID(int=number),
        "workspace_id": UUID(int=1),
        "project_id": UUID(int=2),
        "from_session": UUID(int=100 + number),
        "from_agent": "claude-code",
        "cwd": "/w/shop",
        "summary": "VAT",
        "created_at": NOW,
    }
    return Handoff(**{**fields, **more})


def chosen(*handoffs, receiver=CODEX, mid_turn=()):
    return best(handoffs, receiver, mid_turn=set(mid_turn))


def test_a_manual_handoff_goes_before_a_newer_automatic_one():
    manual = handoff(1, from_session=None, cwd="")
    assert chosen(manual, handoff(2, created_at=NOW + timedelta(hours=1))) == manual


def test_the_newest_automatic_one_is_chosen_and_the_deeper_directory_breaks_a_tie():
    newest = handoff(2, created_at=NOW + timedelta(seconds=1), cwd="/w")
    deep = Receiver(None, "codex", "/w/shop/api")
    assert chosen(handoff(1), newest) == newest
    assert chosen(handoff(1, cwd="/w"), handoff(2, cwd="/w/shop"), receiver=deep).id == UUID(int=2)


def test_a_directory_reaches_its_own_subtree_only():
    assert chosen(handoff(cwd="/w/shop"), receiver=Receiver(None, "codex", "/w/shop/api"))
    assert chosen(handoff(cwd="/w/shop"), receiver=Receiver(None, "codex", "/w/shop-other")) is None
    assert chosen(handoff(cwd="/w/shop/api"), receiver=Receiver(None, "codex", "/w/shop")) is None


def test_a_session_never_takes_its_own_and_none_from_the_middle_of_a_turn():
    assert chosen(handoff(from_session=CODEX.session)) is None
    assert chosen(handoff(1), mid_turn=[UUID(int=101)]) is None


def test_one_that_is_meant_for_another_agent_stays():
    assert chosen(handoff(to_agent="gemini-cli")) is None
    assert chosen(handoff(to_agent="codex"))


def test_older_automatic_ones_fall_with_the_one_that_is_taken():
    taken, older = handoff(1, created_at=NOW + timedelta(hours=1)), handoff(2)
    spared = [
        handoff(3, from_session=None),
        handoff(4, cwd="/w/other"),
        handoff(5, created_at=NOW + timedelta(hours=2)),
    ]
    assert superseded([taken, older, *spared], taken, CODEX) == [older]


texts = st.text(max_size=4000) | st.just("😀" * 3000) | st.just(f"x {FENCE_END} y {FENCE_START}")


@given(summary=texts, items=st.lists(texts, max_size=25))
def test_the_injected_text_is_bounded_and_fenced_whatever_it_says(summary, items):
    lists = {"open_questions": tuple(items), "next_steps": tuple(items), "files_touched": tuple(items)}
    text = rendered(within_limits(handoff(summary=summary, **lists)))
    assert utf16_length(text) <= TEXT_LIMIT
    assert (text.count(FENCE_START), text.count(FENCE_END)) == (1, 1)
    assert text.index(FENCE_START) < text.index(FENCE_END)
    assert text.startswith(
        "> 📥 ai-memory: pending handoff from previous session\n> from claude-code · created 2026-11-20T10:00:00Z\n"
    )


def test_sections_come_in_the_order_of_the_wire():
    text = rendered(handoff(open_questions=("why?",), next_steps=("test",), files_touched=("a.py",)))
    inside = text.split(FENCE_START)[1].split(FENCE_END)[0].strip()
    assert inside == (
        "**Open questions**\n\n- why?\n\n**Next steps**\n\n- test\n\n**Files touched**\n\n- `a.py`\n\n**Summary**\n\nVAT"
    )


def test_lists_and_items_are_cut_to_the_limits_of_the_wire():
    cut = within_limits(handoff(summary="s" * 5000, next_steps=("n" * 2000,) * 30, files_touched=("f" * 600,) * 30))
    assert [len(cut.summary), [len(x) for x in cut.next_steps], len(cut.files_touched)] == [3000, [1500] * 4, 11 + 1]
    assert sum(map(len, cut.files_touched)) <= 6000
