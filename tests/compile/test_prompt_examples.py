"""What a prompt shows as an answer is one that its reader takes whole, if the input says it."""

from datetime import UTC, datetime
from uuid import UUID

from ai_memory.compile import consolidate, contradictions, improve, narrative, packet_polish, request, telling
from ai_memory.compile.bootstrap import Source
from ai_memory.compile.bootstrap import read as read_bootstrap
from ai_memory.compile.grounding import Ground
from ai_memory.compile.prompts import prompt
from ai_memory.model.event import Kind, Observation, Scrubbed
from ai_memory.model.packet import Packet
from ai_memory.model.session import Session

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
SESSION = Session(UUID(int=1), UUID(int=2), "x", "codex", "/w", NOW, NOW, 1, 1)
BUDGET = request.Budget(100_000)


def texts(value):
    """Every text in an answer, a line each."""
    if isinstance(value, dict):
        return "\n".join(map(texts, value.values()))
    return "\n".join(map(texts, value)) if isinstance(value, list) else str(value)


def example(name):
    return prompt(name).example, texts(prompt(name).example)


def observed(text):
    return [Observation(NOW, Kind.USER_PROMPT, "codex", "x", Scrubbed("x"), Scrubbed(text))]


def test_of_a_sessions_page():
    answer, said = example("consolidate")
    drafted = consolidate.read_page(answer, Ground(said), consolidate.Material(SESSION, observed(said)))
    assert (drafted.refused, drafted.pages[0].body) == ((), answer["body_markdown"].strip())


def test_of_a_batch_and_not_a_word_of_it_when_nobody_said_it():
    answer, said = example("consolidate_batch")
    material = consolidate.Material(SESSION, observed(said))
    drafted = consolidate.read_batch(answer, Ground(said), material)
    assert ([page.path for page in drafted.pages], drafted.refused) == (
        [each["path"] for each in answer["updates"]],
        (),
    )
    nothing = consolidate.read_batch(answer, Ground("hello"), material)
    assert (nothing.pages, len(nothing.refused)) == ((), len(answer["updates"]))


def test_of_a_narrative():
    answer, said = example("narrative")
    (gone,) = answer["dropped"]
    old = narrative.Narrative(approach=((gone["item"], "it was there"),))
    update = narrative.read(answer, old, narrative.Portion(said, {}), Ground(said))
    assert (update.orphans, update.refused, update.dropped) == ((), (), ((gone["item"], gone["reason"]),))
    assert update.narrative.resuming == answer["resuming"]["text"]


def test_of_a_review():
    answer, said = example("improve")
    review = improve.Review(observed(said), "", {})
    reviewed = improve.read(answer, improve.question(review, BUDGET), review)
    assert ([each.path for each in reviewed.proposals], reviewed.refused) == (
        ["decisions/round-vat-per-invoice.md"],
        (),
    )
    assert reviewed.left_out == tuple(answer["rejected_candidates"])


def test_of_contradictions():
    answer, _ = example("contradictions")
    (finding,) = answer["findings"]
    pages = zip(finding["pages"], finding["quotes"], strict=True)
    pair = tuple(contradictions.Statement(path, "T", "semantic", quote) for path, quote in pages)
    found, refused = contradictions.read(answer, [pair])
    assert ([each.message for each in found], refused) == ([finding["message"]], [])


def test_of_a_bootstrap():
    answer, said = example("bootstrap")
    part = read_bootstrap(answer, [Source("doc_file", "doc: x.md", said)], [], 1)
    assert ([page.path for page in part.pages], part.refused) == ([each["path"] for each in answer["pages"]], ())


def test_of_a_packet():
    answer, said = example("packet")
    packet, refused = packet_polish.read(
        answer, Packet("0.2", "x" * 26, "2026-11-20T10:00:00Z", "g", "n"), Ground(said)
    )
    assert (packet.goal, len(packet.decisions), len(packet.attempts), refused) == (answer["goal"], 1, 1, [])


def test_of_prose():
    answer, said = example("explore")
    assert telling.read_prose(answer, Ground(said), ()) == telling.Answered(answer["prose"])


def test_of_an_answer():
    answer, said = example("answer")
    answered = telling.read_answer(answer, [telling.Source("decisions/vat.md", "2026-11-20", said)])
    assert (answered.text, answered.refused) == (answer["answer"], ())
