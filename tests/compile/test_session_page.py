from datetime import UTC, datetime, timedelta
from uuid import UUID

from ai_memory.compile.account import Failure, Quote, account_of
from ai_memory.compile.handoff import automatic_handoff, generation_of
from ai_memory.compile.session_page import ledger_lines, session_page
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.model.page import front_matter
from ai_memory.model.scope import Project
from ai_memory.model.session import advanced, begun

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PROJECT = Project(UUID(int=2), UUID(int=1), "default", "shop")
SESSION = UUID("7b0e5f9e-3a52-4c55-9a0e-0f2d8b1c9a11")


def seen(*steps):
    """(kind, text, tool) triples, a minute apart, and the session that they make."""
    observations = []
    for minute, (kind, text, *tool) in enumerate(steps):
        observations.append(
            Observation(
                NOW + timedelta(minutes=minute),
                kind,
                "claude-code",
                "x",
                Scrubbed(text.split("\n")[0] or kind),
                Scrubbed(text),
                cwd="/w/shop",
                tool=tool[0] if tool else None,
            )
        )
    session = begun(observations[0], project_id=PROJECT.id, session_id=SESSION, native=str(SESSION))
    for observation in observations:
        session = advanced(session, observation)
    return session, observations


def ran(command, outcome="success"):
    return ToolCall("Bash", outcome, command=Scrubbed(command))


def edited(*files, outcome="success"):
    return ToolCall("Edit", outcome, files=tuple(Scrubbed(f) for f in files), writes=True)


STORY = (
    (Kind.SESSION_START, ""),
    (Kind.USER_PROMPT, "Fix the VAT rounding."),
    (Kind.POST_TOOL_USE, "1 failed", ran("pytest -q", "error")),
    (Kind.POST_TOOL_USE, "edited cart.py", edited("/w/shop/cart.py", "/etc/hosts")),
    (Kind.POST_TOOL_USE, "", edited("/w/shop/never.py", outcome="error")),
    (Kind.POST_TOOL_USE, "12 passed", ran("pytest -q")),
    (Kind.POST_TOOL_USE, "no such target", ran("make lint", "error")),
    (
        Kind.STOP,
        "We decided to round per invoice.\n\n```\nlet's use tabs\n```\nNext steps:\n- refunds.py\n1. docs\nIs shipping taxed?",
    ),
    (Kind.SESSION_END, ""),
)


def test_an_account_quotes_what_was_said_and_lists_what_was_done():
    session, observations = seen(*STORY)
    account = account_of(observations, session.cwd)
    assert account.decisions == (Quote("agent", "We decided to round per invoice."),)
    assert account.questions == ("Is shipping taxed?",)
    assert account.next_steps == ("refunds.py", "docs")
    assert account.files == ("cart.py", "/etc/hosts")
    assert account.failures == (
        Failure("pytest -q", "1 failed", fixed=True),
        Failure("Edit", "", fixed=False),
        Failure("make lint", "no such target", fixed=False),
    )
    assert (account.finished, account.tools) == (True, {"Bash": 3, "Edit": 2})


def test_the_page_has_its_mark_and_is_the_same_each_time():
    session, observations = seen(*STORY)
    pages = {session_page(session, observations, account_of(observations, session.cwd)) for _ in range(2)}
    (page,) = pages
    assert page.path == f"sessions/{SESSION}.md"
    assert front_matter(page.text) == {
        "title": "Fix the VAT rounding.",
        "type": "Session Summary",
        "kind": "session",
        "tier": "episodic",
        "summary": "1 prompt, 5 tool calls (Bash, Edit), 8 m",
        "session_id": str(SESSION),
        "agent": "claude-code",
        "started": "2026-11-20T10:00:00Z",
        "ended": "2026-11-20T10:08:00Z",
        "directory": "/w/shop",
        "prompts": 1,
        "tools": 5,
        "observations": 9,
    }
    headings = [line for line in page.text.splitlines() if line.startswith("#")]
    assert headings == [
        "# Fix the VAT rounding.",
        "## Prompts",
        "## Last answer",
        "## Decisions",
        "## Open questions",
        "## Next steps",
        "## Files touched",
        "## Commands that failed",
        "## Session metadata",
        "## Tool calls",
        "## Raw observations",
    ]


def test_a_turn_that_did_not_end_says_so_and_is_the_next_step():
    session, observations = seen(*STORY[:3])
    account = account_of(observations, session.cwd)
    assert "had not come to its end" in session_page(session, observations, account).text
    handoff = automatic_handoff(session, observations, account, PROJECT, handoff_id=UUID(int=9))
    assert handoff.next_steps[-1] == "Continue from the last request; its turn was not finished."


def test_scaffolding_is_never_a_title_and_a_session_of_tools_alone_has_one():
    session, observations = seen(
        (Kind.USER_PROMPT, "<system-reminder>x</system-reminder>"), (Kind.USER_PROMPT, "fix ci"), (Kind.STOP, "done")
    )
    assert session_page(session, observations, account_of(observations, "")).text.count("# fix ci\n") == 1
    session, observations = seen((Kind.POST_TOOL_USE, "x", ran("ls")))
    assert session.counts
    assert "title: x session" in session_page(session, observations, account_of(observations, "")).text


def test_a_start_and_an_end_add_nothing_to_hand_over():
    _, observations = seen(*STORY)
    assert generation_of(observations) == 8
    assert generation_of(observations[:8]) == 8


def test_more_than_500_rows_keep_their_head_and_tail():
    session, observations = seen(
        (Kind.USER_PROMPT, "Count the files."), *[(Kind.POST_TOOL_USE, f"row {n}", ran(str(n))) for n in range(700)]
    )
    text = session_page(session, observations, account_of(observations, "")).text
    assert "*201 rows left out*" in text
    assert text.count("- `post-tool-use`") == 499


def test_the_ledger_has_one_line_an_event_in_the_file_of_its_month():
    _, observations = seen((Kind.USER_PROMPT, "a | b\nsecond line"))
    assert ledger_lines(observations) == {"log-2026-11.md": "## [2026-11-20T10:00:00Z] user-prompt | a | b\n"}
