"""The queue of the embedder, and what is found by meaning."""

import threading
import time
from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

import pytest

from ai_memory.memory.embedding import Embedding, NoEmbedderError
from ai_memory.search.embed.embedder import EmbeddingError
from ai_memory.search.pieces import pieces_of
from tests.memory.meaning import DIM, Meaning
from tests.memory.test_moves import KilledError, ends, project, reopen, write

PAGES = {
    "decisions/money.md": "We truncate per line, as the tax office wants it.",
    "notes/door.md": "Everybody must authenticate with a key.",
    "notes/tea.md": "Green at ten, black at three.",
}


class Desk:
    """A memory with an embedder that the test holds in its hand."""

    def __init__(self, world):
        self.world = world
        self.meaning = Meaning()
        self.embedding = self.anew()

    def anew(self):
        self.embedding = Embedding(self.world.memory.stores, "openai-compat", lambda: self.meaning)
        self.world.memory.embedding = self.embedding
        return self.embedding

    def settle(self):
        """Work until nothing is to be done now."""
        for _ in range(200):
            if self.embedding.step():
                return
        pytest.fail("the queue does not end")

    def near(self, question, projects=(), limit=3):
        """Say what is near to a question: pages by path, turns by text."""
        vector, reason = self.embedding.query(question, 5.0)
        assert vector, reason
        found = self.embedding.nearest(vector, [each.id for each in projects], limit)
        return [self.name(each) for each in found if each.similarity > 0.6]

    def name(self, near):
        database = self.world.memory.stores.database
        asked = "SELECT t.path FROM chunks c JOIN texts t ON t.id = c.text WHERE c.id = ?"
        if near.turn:
            assert not near.chunk
            asked = "SELECT text FROM turns WHERE id = ?"
        return database.all(asked, (near.chunk or near.turn,))[0][0]

    def report(self):
        return self.embedding.report(self.embedding.coverage())

    def derived(self):
        return self.embedding.derived(self.embedding.coverage())

    def state(self):
        return self.report()["state"]

    def counts(self):
        report = self.report()
        return tuple(report[key] for key in ("embedded", "waiting", "failed"))

    def texts(self):
        """Count the texts that have vectors, of each model and project."""
        return self.world.memory.stores.database.all("SELECT count(*) FROM vectors WHERE n = 0")[0][0]

    def pieces(self, text):
        """Count the vectors of a text."""
        asked = "SELECT count(*) FROM vectors v JOIN turns t USING (hash) WHERE t.text = ?"
        return self.world.memory.stores.database.all(asked, (text,))[0][0]

    def failures(self):
        return self.world.memory.stores.database.all("SELECT attempts, error FROM embedding_failures")


@pytest.fixture
def desk(world, ids):
    world.works(ids[0], prompt="Why does the bill not add up?", answer="The rounding was per line.")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    for path, body in PAGES.items():
        write(world, path, body)
    return Desk(world)


def edit(world, path, text):
    file = world.memory.stores.wiki.folder(project(world)) / path
    file.write_text(text)
    world.memory.outside.changed([file])


def test_pages_and_turns_are_found_by_words_that_they_do_not_have(desk):
    desk.settle()
    assert desk.near("How do I sign-in?") == ["notes/door.md"]
    assert desk.near("cents") == ["The rounding was per line.", "decisions/money.md"]
    assert desk.near("cents", [project(desk.world)]) == ["The rounding was per line.", "decisions/money.md"]
    assert desk.near("cents", [project(desk.world)], limit=1) == ["The rounding was per line."]
    assert desk.counts() == (6, 0, 0)


def test_a_session_with_its_raw_log_is_embedded_as_its_turns_and_not_as_its_page(desk, ids):
    desk.settle()
    assert len(desk.world.pages()) == 1
    assert desk.meaning.texts() == sorted(
        [
            *(piece for text in chunks(desk) for piece in pieces_of(text)),
            "Why does the bill not add up?",
            "The rounding was per line.",
            "Edit /srv/shop/cart.py\nedited cart.py",
        ]
    )


def chunks(desk):
    """The chunks of the pages that somebody wrote."""
    rows = desk.world.memory.stores.database.all(
        "SELECT c.heading, c.body FROM chunks c JOIN texts t ON t.id = c.text JOIN pages p ON p.text = t.id "
        "WHERE t.path NOT LIKE 'sessions/%'"
    )
    return [f"{heading}\n\n{body}" if heading else body for heading, body in rows]


def test_a_page_that_is_edited_on_disk_is_found_by_what_it_now_means(desk):
    desk.settle()
    edit(desk.world, "notes/tea.md", "Never ship on a Friday.\n")
    assert desk.near("rollout") == []
    desk.settle()
    assert desk.near("rollout") == ["notes/tea.md"]
    edit(desk.world, "notes/tea.md", "Green at ten.\n")
    desk.settle()
    assert desk.near("rollout") == []


def test_a_former_version_of_a_page_is_not_near(desk):
    write(desk.world, "notes/plan.md", "Never ship on a Friday.")
    desk.settle()
    assert desk.near("rollout") == ["notes/plan.md"]
    write(desk.world, "notes/plan.md", "Nothing is planned.")
    assert desk.near("rollout") == []
    write(desk.world, "notes/plan.md", "Never ship on a Friday.")
    assert desk.near("rollout") == ["notes/plan.md"]


def test_only_what_is_new_of_a_page_is_embedded(desk):
    rollout = "The rollout is on Mondays. " * 40
    write(desk.world, "notes/plan.md", f"# Rollout\n\n{rollout}\n\n# Tea\n\n{'Green at ten. ' * 60}")
    desk.settle()
    desk.meaning.asked.clear()
    edit(desk.world, "notes/plan.md", f"# Rollout\n\n{rollout}\n\n# Tea\n\n{'Black at ten. ' * 60}")
    desk.settle()
    assert desk.meaning.texts()
    assert not any("rollout" in text.lower() for text in desk.meaning.texts())
    assert desk.counts() == (8, 0, 0)


def test_an_expired_page_is_neither_embedded_nor_near(desk):
    write(desk.world, "notes/fair.md", "---\nexpires_at: 2026-11-21\n---\nWe ship before the fair.\n")
    desk.settle()
    assert desk.near("release") == ["notes/fair.md"]
    write(desk.world, "notes/gone.md", "---\nexpires_at: 2020-01-01\n---\nWe ship today.\n")
    desk.settle()
    desk.world.passes(days=3)
    assert desk.near("release") == []
    assert not any("today" in text for text in desk.meaning.texts())


def test_a_long_text_is_embedded_in_pieces_and_of_a_tools_result_the_beginning(desk, ids):
    desk.settle()
    desk.meaning.asked.clear()
    words = " ".join(f"word{n}" for n in range(5_000))
    desk.world.says(ids[0], "user-prompt", prompt=f"{words} password")
    desk.world.says(ids[0], "post-tool-use", tool_name="Bash", tool_input={"command": "cat"}, tool_response=words)
    desk.settle()
    (result,) = desk.world.memory.stores.database.all("SELECT text FROM turns WHERE text LIKE 'Bash cat%'")[0]
    assert len(result) > 2_000
    assert (desk.pieces(f"{words} password"), desk.pieces(result)) == (16, 2)
    assert any(text.startswith("word0 ") for text in desk.meaning.texts())


def test_of_turns_that_say_the_same_the_newest_is_near(desk, ids):
    for session in ids[1:4]:
        for _ in range(5):
            desk.world.says(session, "user-prompt", prompt="Go on with the release.")
    desk.settle()
    assert desk.near("deploy", limit=10) == ["Go on with the release."]
    vector, _ = desk.embedding.query("deploy")
    (newest,) = desk.world.memory.stores.database.all("SELECT max(id) FROM turns")
    assert desk.embedding.nearest(vector, [], 1)[0].turn == newest[0]
    assert sum(text == "Go on with the release." for text in desk.meaning.texts()) == 1


# Trouble


def test_a_vendor_that_is_away_is_named_and_the_queue_goes_on_by_itself_when_it_is_back(desk):
    desk.meaning.trouble = EmbeddingError("openai-compat cannot be reached", "later")
    desk.settle()
    assert desk.state() == "failed: openai-compat cannot be reached"
    assert desk.counts() == (0, 6, 0)
    assert desk.embedding.meter.report()["last_error"] == "EmbeddingError: openai-compat cannot be reached"
    desk.meaning.trouble = None
    asked = len(desk.meaning.asked)
    desk.settle()
    assert len(desk.meaning.asked) == asked
    desk.world.passes(minutes=1)
    desk.settle()
    assert (desk.state(), desk.counts()) == ("ready", (6, 0, 0))
    assert desk.near("sign-in") == ["notes/door.md"]


def test_a_vendor_is_asked_less_and_less_often_and_as_late_as_it_says(desk):
    desk.meaning.trouble = EmbeddingError("busy", "later")
    waits = []
    for _ in range(4):
        desk.settle()
        asked, begun = len(desk.meaning.asked), desk.world.now
        while len(desk.meaning.asked) == asked:
            desk.world.passes(seconds=30)
            desk.settle()
        waits.append(int((desk.world.now - begun).total_seconds()))
    assert waits == [60, 300, 3600, 3600]
    desk.world.passes(hours=1)
    desk.meaning.trouble = EmbeddingError("busy", "later", after=1e9)
    desk.settle()
    desk.meaning.trouble = None
    desk.world.now -= timedelta(days=400)
    desk.settle()
    assert desk.state() == "ready"


def test_one_text_that_is_refused_keeps_no_other_from_its_vectors(desk):
    desk.meaning.poison = "authenticate"
    desk.settle()
    assert desk.counts() == (5, 0, 1)
    assert desk.failures() == [(1, "openai-compat gave no vector of a text (HTTP 400)")]
    assert desk.near("cents") == ["The rounding was per line.", "decisions/money.md"]
    assert desk.derived()["latest_pages_missing_embeddings"] == 1
    for hours, attempts in ((2, 2), (25, 3), (1_000, 3)):
        desk.world.passes(hours=hours)
        desk.anew()
        desk.settle()
        assert [row[0] for row in desk.failures()] == [attempts]
    edit(desk.world, "notes/door.md", "Everybody needs a password.\n")
    desk.world.memory.stores.pages.forget_pages([(project(desk.world).id, "notes/gone.md")])
    desk.settle()
    assert desk.near("sign-in") == ["notes/door.md"]


def test_one_text_that_breaks_its_vendor_keeps_no_other_from_its_vectors_and_is_tried_for_ever(desk):
    desk.meaning.poison, desk.meaning.retry = "authenticate", "later"
    desk.settle()
    assert desk.counts() == (5, 0, 1)
    for attempts in (2, 3, 4):
        desk.world.passes(hours=25)
        desk.anew()
        desk.settle()
        assert [row[0] for row in desk.failures()] == [attempts]


def test_vectors_are_not_dropped_for_an_embedder_that_is_away(desk):
    desk.settle()
    desk.meaning.trouble = EmbeddingError("away", "later")
    with pytest.raises(EmbeddingError, match="away"):
        desk.embedding.embed([project(desk.world).id], reembed=True)
    assert desk.counts() == (6, 0, 0)


def test_a_question_that_is_refused_keeps_no_other_from_its_answer(desk):
    desk.settle()
    desk.meaning.poison = "poison"
    assert desk.embedding.query("poison", 5.0) == (None, "refused (HTTP 400)")
    assert desk.near("sign-in") == ["notes/door.md"]


def test_a_text_that_is_purged_after_it_was_looked_up_is_not_sent(desk):
    waiting = desk.world.memory.stores.vectors.waiting(0, 128, desk.world.now)
    desk.embedding._loaded()
    desk.embedding._ahead += waiting
    desk.world.memory.purge.page(project(desk.world), "notes/door.md", confirm=True)
    desk.settle()
    assert desk.meaning.asked
    assert not any("authenticate" in text for text in desk.meaning.texts())


def test_a_key_that_is_refused_is_no_texts_fault(desk):
    desk.meaning.trouble = EmbeddingError("openai-compat refused (HTTP 401): set the key", "never")
    desk.settle()
    assert desk.failures() == []
    assert desk.state() == "failed: openai-compat refused (HTTP 401): set the key"
    assert desk.counts() == (0, 6, 0)


def test_an_embedder_that_cannot_be_loaded_is_loaded_when_it_can(desk):
    def missing():
        raise EmbeddingError("the model is not installed", "never")

    desk.embedding = Embedding(desk.world.memory.stores, "local", missing)
    assert desk.embedding.query("cents") == (None, "the embedding model is being loaded")
    desk.settle()
    assert desk.embedding.query("cents") == (None, "the model is not installed")
    assert desk.state() == "failed: the model is not installed"
    with pytest.raises(NoEmbedderError, match="not installed"):
        desk.embedding.embed([project(desk.world).id])
    desk.embedding._factory = lambda: desk.meaning
    desk.world.passes(minutes=1)
    desk.settle()
    assert desk.state() == "ready"


def test_a_question_that_a_vendor_does_not_answer_costs_its_budget_once(desk):
    desk.settle()
    hang = threading.Event()
    desk.meaning.before = lambda: hang.wait(30)
    try:
        begun = time.monotonic()
        reason = "openai-compat gave no vector of the question in 0.1 s"
        assert desk.embedding.query("cents", 0.1) == (None, reason)
        assert desk.embedding.query("sign-in", 20) == (None, reason)
        assert time.monotonic() - begun < 5
        assert desk.report()["last_error"] == f"EmbeddingError: {reason}"
    finally:
        hang.set()


def test_a_question_that_was_asked_before_needs_no_vendor(desk):
    desk.settle()
    first = desk.embedding.query("cents", 5.0)
    desk.meaning.trouble = EmbeddingError("away", "later")
    assert desk.embedding.query("cents", 5.0) == first
    assert desk.embedding.query("tea", 5.0) == (None, "away")
    assert desk.embedding.query("cents", 5.0) == first


def test_without_an_embedder_nothing_is_asked_and_nothing_is_said(desk):
    embedding = Embedding(desk.world.memory.stores, "", None)
    assert embedding.step() > 0
    assert embedding.query("cents") == (None, "")
    assert embedding.report(embedding.coverage()) == {"configured": False}
    with pytest.raises(NoEmbedderError, match="no embedding_provider is set"):
        embedding.embed([project(desk.world).id])


# Models


def test_vectors_of_another_model_are_counted_and_never_near(desk):
    desk.settle()
    desk.meaning = Meaning("other")
    desk.anew()
    desk.meaning.trouble = EmbeddingError("away", "later")
    desk.settle()
    assert desk.counts() == (0, 6, 0)
    desk.meaning.trouble = None
    assert desk.near("cents") == []
    desk.world.passes(minutes=1)
    desk.settle()
    assert desk.near("cents") == ["The rounding was per line.", "decisions/money.md"]
    pieces = sum(len(pieces_of(text)) for text in chunks(desk)) + 3
    triple = {"provider": "openai-compat", "dim": DIM, "count": pieces}
    triples = [{**triple, "model": "other"}, {**triple, "model": "words"}]
    assert desk.derived() == {
        "latest_pages_missing_embeddings": 0,
        "embedding_rows": 2 * pieces,
        "embedding_triples": triples,
    }
    report = {"failed": 0, "waiting": 0, "provider": "openai-compat", "model": "other", "dim": DIM}
    here = [project(desk.world).id]
    said = desk.embedding.embed(here, reembed=True, dry_run=True)
    assert said == {**report, "embedded": 0, "skipped": 0, "would_embed": 6, "dry_run": True}
    assert desk.texts() == 12
    said = desk.embedding.embed(here, reembed=True)
    assert said == {**report, "embedded": 6, "skipped": 0, "would_embed": 0, "dry_run": False}
    assert desk.derived()["embedding_triples"] == triples[:1]
    assert desk.embedding.embed(here) == {**report, "embedded": 0, "skipped": 6, "would_embed": 0, "dry_run": False}


def test_embedding_on_demand_is_of_the_projects_that_are_named(desk, ids):
    ends(desk.world, ids[5], cwd="/srv/other")
    other = project(desk.world, "other")
    assert desk.embedding.embed([other.id])["embedded"] == 3
    assert desk.counts() == (3, 6, 0)
    assert desk.embedding.embed([project(desk.world).id], dry_run=True)["would_embed"] == 6


def test_what_a_vendor_was_asked_for_is_counted(desk):
    assert "spend" not in desk.report()
    desk.settle()
    desk.near("cents")
    words = sum(len(text.split()) for text in desk.meaning.texts())
    spend = {"requests": len(desk.meaning.asked), "tokens": words}
    assert desk.report()["spend"] == {"today": spend, "days_30": spend}
    desk.world.passes(days=2)
    reopen(desk.world)
    desk.anew()
    desk.settle()
    assert desk.report()["spend"] == {"today": {"requests": 0, "tokens": 0}, "days_30": spend}


def test_tokens_are_counted_also_when_somebody_looks_while_the_vendor_is_asked(desk):
    desk.meaning.before = desk.report
    desk.settle()
    words = sum(len(text.split()) for text in desk.meaning.texts())
    assert desk.report()["spend"]["today"] == {"requests": len(desk.meaning.asked), "tokens": words}


# What goes and what moves


def test_a_purge_leaves_no_vector(desk, ids):
    desk.settle()
    here, purge = project(desk.world), desk.world.memory.purge
    purge.page(here, "notes/door.md", confirm=True)
    assert desk.near("sign-in") == []
    purge.session(here, UUID(ids[0]), confirm=True, force=True)
    assert desk.near("cents") == ["decisions/money.md"]
    pieces = sum(len(pieces_of(text)) for text in chunks(desk))
    assert desk.texts() == len(chunks(desk)) == 2
    assert purge.project(here, confirm=True, force=True)["embeddings_deleted"] == pieces
    assert desk.derived()["embedding_rows"] == 0


def test_what_is_purged_while_it_is_embedded_gets_no_vector(desk):
    here = project(desk.world)
    desk.meaning.before = lambda: desk.world.memory.purge.project(here, confirm=True, force=True)
    desk.settle()
    assert len(desk.meaning.asked) == 1
    assert desk.texts() == 0


def test_what_moves_brings_its_vectors(desk, ids):
    world, moves = desk.world, desk.world.memory.moves
    ends(world, ids[5], cwd="/srv/other", prompt="What is for tea?", answer="Green.")
    ends(world, ids[6], cwd="/srv/third", prompt="Where do we memoize?", answer="Nowhere.")
    write(world, "notes/rollout.md", "The rollout is on Mondays.", name="third")
    desk.settle()
    for question in ("cents", "store", "ship"):
        desk.near(question)
    desk.meaning.asked.clear()
    texts, rows = desk.texts(), desk.derived()["embedding_rows"]
    moves.move_session(project(world), UUID(ids[0]), "other", confirm=True, force=True)
    assert desk.near("cents", [project(world, "other")]) == ["The rounding was per line."]
    assert desk.near("cents", [project(world)]) == ["decisions/money.md"]
    moves.move_project(project(world), "acme", confirm=True)
    assert desk.near("cents", [project(world, "shop", "acme")]) == ["decisions/money.md"]
    moves.rename_project(project(world, "third"), "shop")
    moves.move_project(project(world), "acme", confirm=True)
    together = project(world, "shop", "acme")
    assert desk.near("cents", [together]) == ["decisions/money.md"]
    assert desk.near("store", [together]) == ["Where do we memoize?"]
    assert desk.near("ship", [together]) == ["notes/rollout.md"]
    desk.settle()
    assert desk.meaning.asked == []
    assert (desk.counts(), desk.derived()["embedding_rows"]) == ((texts, 0, 0), rows)


def test_an_index_that_is_made_anew_is_embedded_anew(desk):
    desk.settle()
    desk.world.close()
    for file in (desk.world.data / "db").glob("index.db*"):
        file.unlink()
    desk.world.open()
    desk.anew()
    assert desk.counts()[0] == 0
    desk.settle()
    assert desk.counts() == (6, 0, 0)


def test_a_kill_between_embedding_and_saving_loses_nothing(desk):
    def killed():
        raise KilledError

    desk.meaning.before = killed
    with pytest.raises(KilledError):
        desk.embedding.step()
    desk.world.crash()
    desk.world.open()
    desk.meaning.before = lambda: None
    desk.anew()
    desk.settle()
    assert desk.counts() == (6, 0, 0)
    assert asdict(desk.world.memory.stores.vectors.coverage(1, desk.world.now))["pages_missing"] == 0


def test_the_memory_closes_while_a_vendor_hangs(desk):
    begun, hang = threading.Event(), threading.Event()

    def wait():
        begun.set()
        hang.wait(30)

    desk.meaning.before = wait
    thread = threading.Thread(target=desk.embedding.step, daemon=True)
    thread.start()
    assert begun.wait(10)
    closing = time.monotonic()
    desk.world.close()
    assert time.monotonic() - closing < 10
    hang.set()
    thread.join(10)
    assert not thread.is_alive()
    desk.world.open()
    assert desk.texts() == 0
