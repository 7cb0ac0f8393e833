"""Whatever JSON a model answers, reading it ends, and what comes of it can be written."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from ai_memory.compile import consolidate, contradictions, improve, narrative, packet_polish, request, telling
from ai_memory.compile.drafts import merged
from ai_memory.compile.grounding import Ground
from ai_memory.model.event import Kind, Observation, Scrubbed
from ai_memory.model.packet import Packet, parse, stored_form
from ai_memory.model.page import parsed, writable_page_path
from ai_memory.model.session import Session

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
SESSION = Session(UUID(int=1), UUID(int=2), "x", "codex", "/w", NOW, NOW, 1, 1)
SAID = "Round per invoice in cart.py, 3 lines."
OBSERVATIONS = [Observation(NOW, Kind.USER_PROMPT, "codex", "x", Scrubbed("x"), Scrubbed(SAID))]
MATERIAL = consolidate.Material(
    SESSION, OBSERVATIONS, existing={"decisions/a.md": consolidate.Known("A"), "_slots/s.md": consolidate.Known("S")}
)
BUDGET = request.Budget(50_000)
PACKET = Packet("0.2", "01M7YRRT80Z6V1M9N5R7T2WCEX", "2026-11-21T10:00:00Z", "g", "n")
PAIR = (
    contradictions.Statement("a.md", "A", "semantic", SAID),
    contradictions.Statement("b.md", "B", "semantic", SAID),
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        [SAID, "Round per invoice", "cart.py", "decisions/a.md", "[[decisions/a.md|x]]", "_slots/s.md", "\ud800"]
    ),
    st.sampled_from(
        ["decision", "slot", "rule", "full", "patch", "a.md", "session", "90", "```", "# x", "---\nx: 1\n---"]
    ),
)


def shaped(schema):
    """Mostly what a schema asks for, and often enough something else."""
    if schema["type"] == "object":
        inside = st.fixed_dictionaries({}, optional={key: shaped(each) for key, each in schema["properties"].items()})
        return st.one_of(inside, inside, inside, scalars)
    if schema["type"] == "array":
        return st.one_of(*[st.lists(shaped(schema["items"]), max_size=3)] * 4, scalars)
    return scalars


@settings(max_examples=60, deadline=None)
@given(shaped(consolidate.BATCH_SCHEMA), shaped(consolidate.BATCH_SCHEMA))
def test_of_batches(one, other):
    first = consolidate.read_batch(one, Ground(SAID), MATERIAL)
    second = consolidate.read_batch(other, Ground(SAID), MATERIAL, first)
    for page in merged([first, second]).pages:
        change = page.change
        assert writable_page_path(change.path) == change.path
        assert parsed(change.path, change.text).problems == ()
        assert Ground(SAID, "decisions/a.md _slots/s.md").missing(f"{page.title}\n\n{page.summary}") == ""
        change.text.encode()


@settings(max_examples=40, deadline=None)
@given(shaped(consolidate.PAGE_SCHEMA))
def test_of_a_sessions_page(value):
    for page in consolidate.read_page(value, Ground(SAID), MATERIAL).pages:
        page.change.text.encode()


@settings(max_examples=40, deadline=None)
@given(shaped(narrative.SCHEMA))
def test_of_narratives(value):
    old = narrative.Narrative(idea=(SAID,))
    update = narrative.read(value, old, narrative.Portion(SAID, {}), Ground(SAID))
    assert (update.narrative is None) == bool(update.orphans)
    if update.narrative:
        narrative.page(update.narrative, "shop", []).text.encode()


@settings(max_examples=40, deadline=None)
@given(shaped(improve.SCHEMA))
def test_of_reviews(value):
    review = improve.Review(OBSERVATIONS, "", {"decisions/a.md": improve.PageNow("A", "Old.")})
    for proposal in improve.read(value, improve.question(review, BUDGET), review).proposals:
        assert writable_page_path(proposal.path) == proposal.path
        proposal.body.encode()


@settings(max_examples=40, deadline=None)
@given(shaped(packet_polish.SCHEMA))
def test_of_packets(value):
    packet, _ = packet_polish.read(value, PACKET, Ground(SAID))
    assert parse(stored_form(packet).encode()) == packet


@settings(max_examples=40, deadline=None)
@given(shaped(contradictions.SCHEMA), shaped(telling.ANSWER_SCHEMA), shaped(telling.EXPLORE_SCHEMA))
def test_of_the_rest(findings, answer, prose):
    for finding in contradictions.read(findings, [PAIR])[0]:
        assert finding.pages == ["a.md", "b.md"]
    assert telling.read_prose(prose, Ground(SAID), ()).citations == ()
    answered = telling.read_answer(answer, [telling.Source("a.md", "2026-11-20", SAID)])
    assert bool(answered.text) == bool(answered.citations)
