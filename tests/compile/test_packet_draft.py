"""The draft of a session's packet: what the session itself says, portable, within every limit, or none."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_memory.compile.account import account_of
from ai_memory.compile.packet import draft_id, drafted, is_of_session
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.model.packet import About, Attempt, Decision, Packet, Provenance, parse, scan, stored_form
from ai_memory.model.scope import Project
from ai_memory.model.session import advanced, begun

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
SHOP = Project(UUID(int=2), UUID(int=1), "default", "shop", identity="github.com/acme/shop")
SESSION = UUID("7b0e5f9e-3a52-4c55-9a0e-0f2d8b1c9a11")
ID = draft_id(SESSION, NOW)
HOME, HERE = "/home/ana", "/home/ana/shop"


def said(kind, text, tool=None, note="", minute=0):
    title = Scrubbed((text.split("\n")[0] or kind)[:80])
    at = NOW + timedelta(minutes=minute)
    return Observation(at, kind, "claude-code", "x", title, Scrubbed(text), cwd=HERE, tool=tool, note=note)


def asked(text):
    return Kind.USER_PROMPT, text


def answered(text, note=""):
    return Kind.STOP, text, None, note


def ran(command, told="", outcome="error"):
    return Kind.POST_TOOL_USE, told, ToolCall("Bash", outcome, command=Scrubbed(command))


def edited(*files):
    return Kind.POST_TOOL_USE, "", ToolCall("Edit", "success", files=tuple(map(Scrubbed, files)), writes=True)


def packet_of(*steps, **more):
    """The draft of a session of such steps, a minute apart."""
    observations = [said(*step, minute=minute) for minute, step in enumerate(steps)]
    session = begun(observations[0], project_id=SHOP.id, session_id=SESSION, native=str(SESSION))
    for observation in observations:
        session = advanced(session, observation)
    account = account_of(observations, session.cwd)
    return drafted(session, observations, account, SHOP, packet_id=ID, **more)


STORY = (
    asked("Fix the VAT rounding of /home/ana/shop/cart.py.\nIt is one cent off."),
    ran("pytest -q /home/ana/shop/tests", "Exit code 1\n1 failed: test_vat\nsee above"),
    edited("/home/ana/shop/cart.py"),
    ran("pytest -q /home/ana/shop/tests", "12 passed", "success"),
    ran("make lint", "no such target"),
    answered(
        "Rounded per invoice.\nWe decided to round per invoice. That way the books agree with the bank.\n"
        "Is shipping taxed?\n\nNext steps:\n- refunds.py\n- the docs."
    ),
)


def test_a_draft_says_what_the_session_said_in_the_fields_of_a_packet():
    packet = packet_of(*STORY)
    assert packet == Packet(
        ltm_version="0.2",
        id=ID,
        created_at="2026-11-20T10:05:00Z",
        project=About("shop", "github.com/acme/shop"),
        goal="Fix the VAT rounding of cart.py. It is one cent off.",
        decisions=(Decision("We decided to round per invoice.", "That way the books agree with the bank."),),
        attempts=(
            Attempt("pytest -q tests", "succeeded", "It failed at first: 1 failed: test_vat"),
            Attempt("make lint", "failed", "no such target"),
            Attempt("Changed cart.py", "partial", "Rounded per invoice."),
        ),
        open_questions=("Is shipping taxed?",),
        next_step="refunds.py, then the docs",
        tags=("claude-code",),
        provenance=Provenance(source_hash=packet.provenance.source_hash),
    )
    assert parse(stored_form(packet).encode()) == packet
    assert scan(packet) == []


def test_the_same_session_gives_the_same_bytes_and_another_one_another_source():
    first, again = packet_of(*STORY), packet_of(*STORY, parent_id="01JZX0000000000000000000AA")
    assert replace(again, parent_id="") == first
    assert packet_of(*STORY, answered("more")).provenance != first.provenance


@pytest.mark.parametrize(
    ("steps", "next_step"),
    [
        (
            [answered("Done.\n\nNext: fix refunds."), asked("and the docs")],
            "Continue the request whose turn was not finished: and the docs",
        ),
        (
            [answered("Stopped.", "interrupt")],
            "Continue the request whose turn was not finished (interrupt): Fix VAT in the cart.",
        ),
        (
            [ran("make a"), ran("make b"), answered("Done.")],
            "Look at what failed and was not seen to work since: make b; make a",
        ),
        ([answered("Done.")], "Check the outcome of: Fix VAT in the cart."),
        ([asked("yes"), answered("Done.")], "Check the outcome of: Fix VAT in the cart."),
    ],
    ids=["a new request", "interrupted", "broken", "done", "a mere yes"],
)
def test_the_next_step_is_what_the_session_leaves_to_do(steps, next_step):
    assert packet_of(asked("Fix VAT in the cart."), edited("cart.py"), *steps).next_step == next_step


@pytest.mark.parametrize(
    "steps",
    [
        [asked("What does cart.py do?"), answered("It adds up.")],
        [edited("cart.py"), ran("make", "no rule")],
        [asked("ok"), edited("cart.py")],
        [asked("prompt not captured"), edited("cart.py"), answered("Done.")],
        [asked("Look around."), ran("ls", outcome="success"), ran("pwd", outcome="success"), answered("Done.")],
    ],
    ids=["a question", "no request", "a mere yes", "a prompt kept out", "two calls"],
)
def test_a_session_of_little_substance_has_no_packet(steps):
    assert packet_of(*steps) is None


@pytest.mark.parametrize(
    "step",
    [edited("cart.py"), ran("make"), answered("We decided to use cents."), ran("a; b", outcome="success")],
    ids=["a file", "a failure", "a decision", "three calls"],
)
def test_a_request_and_one_thing_that_came_of_it_are_enough(step):
    more = [ran("ls", outcome="success")] * 2 if step == ran("a; b", outcome="success") else []
    assert packet_of(asked("Fix VAT."), step, *more).goal == "Fix VAT."


@pytest.mark.parametrize(
    ("text", "portable"),
    [
        ("cd /home/ana/shop && make", "cd ./ && make"),
        ("it is in /home/ana/shop.", "it is in ./."),
        ('"/home/ana/shop/"', '"./"'),
        ("/home/ana/shop/a.py:3 and /home/ana/shop/.git", "a.py:3 and .git"),
        ("/home/ana/shop/../other", "../other"),
        ("cc -I/home/ana/shop/inc", "cc -Iinc"),
        ("file:///home/ana/shop/a.mjs:3", "file://a.mjs:3"),
        ("/home/ana/shop2/a and /home/ana", "$HOME/shop2/a and $HOME"),
        ("PATH=/home/ana/bin", "PATH=$HOME/bin"),
        ("/home/ana/opt/x", "$HOME/opt/x"),
        ("/mnt/home/ana/shop/x", "/mnt/home/ana/shop/x"),
        ("/home/anabel/x", "/home/anabel/x"),
        ("~/home/ana/shop/x", "~/home/ana/shop/x"),
    ],
)
def test_paths_of_the_session_are_portable_and_others_stay_as_they_are(text, portable):
    assert packet_of(asked(f"Look: {text}"), edited("a")).goal == f"Look: {portable}"


def test_paths_of_windows_are_portable_too():
    here = replace(said(*asked(r"Fix C:\Users\ana\shop\src\a.py and C:/Users/ana/x")), cwd=r"C:\Users\ana\shop")
    session = begun(here, project_id=SHOP.id, session_id=SESSION, native="x")
    observations = [here, said(*edited("a"))]
    packet = drafted(session, observations, account_of(observations, ""), SHOP, packet_id=ID)
    assert packet.goal == r"Fix src\a.py and $HOME/x"


def test_a_goal_that_is_too_long_ends_behind_a_sentence_and_a_sentence_that_is_too_long_says_so():
    goal = packet_of(asked(f"{'Round up. ' * 102}And {'x' * 1000}."), edited("a")).goal
    assert goal == ("Round up. " * 102).strip()
    assert packet_of(asked("x " * 1000), edited("a")).goal == "x " * 511 + "x…"


def test_a_draft_of_the_longest_texts_may_still_travel():
    most = [asked("𝔛 " * 2000), *(ran(f"{n} {'<' * 2000}", "<" * 900) for n in range(12))]
    answer = "\n".join(f"We decided to use {n} {'𝔛' * 280} because {'𝔛' * 50}." for n in range(12))
    packet = packet_of(*most, answered(answer))
    assert len(stored_form(packet).encode()) <= 32_768
    assert parse(stored_form(packet).encode()) == packet
    # The oldest give way.
    assert packet.attempts[-1].tried.startswith("11 ")
    assert packet.decisions[-1].what.startswith("We decided to use 11 ")


def test_an_id_is_a_ulid_of_its_session_and_each_number_has_another():
    ids = [draft_id(SESSION, NOW, number) for number in range(32)]
    assert len(set(ids)) == 32
    assert {each[:10] for each in ids} == {"01M7W6C380"}
    assert {len(each) for each in ids} == {26}


def test_pages_of_a_session_are_told_from_those_of_others():
    earlier = draft_id(SESSION, NOW - timedelta(days=3), 31)
    own = [f"sessions/{SESSION}.md", f"packets/{ID}.md", f"packets/{earlier}.md"]
    others = [f"packets/{ID}0.md", f"packets/{ID[:-1]}.md", f"packet/{ID}.mdx", f"packets/{ID[:11]}{ID}.md", "a.md"]
    assert [path for path in own + others if is_of_session(SESSION, path)] == own
    assert not any(is_of_session(UUID(int=1), path) for path in own)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=300), min_size=1, max_size=4))
def test_whatever_was_said_the_draft_is_a_packet(texts):
    steps = [step for text in texts for step in (asked(f"go {text}"), ran(text or "x", text), answered(text))]
    packet = packet_of(*steps)
    if packet:
        assert json.loads(stored_form(packet))["id"] == ID
        assert parse(stored_form(packet).encode()) == packet
