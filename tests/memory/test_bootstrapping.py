"""A project's first pages: written once, in one commit, and never paid for twice."""

import pytest

from ai_memory.compile.sources import Source
from ai_memory.errors import ConflictError
from ai_memory.llm.asking import Answer, ModelError
from ai_memory.memory.bootstrapping import (
    AlreadyBootstrappedError,
    Bootstrapping,
    NoSourcesError,
    Options,
    UnansweredError,
)
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.scope import Routing

SHOP = Routing(cwd="/srv/shop", repo_root="/srv/shop")
FACTS = ["Carts are kept in SQLite.", "Totals are rounded per invoice.", "Partners read the table."]
#: Each of these fills a question of its own.
SOURCES = [Source("doc_file", f"doc: docs/{n}.md", f"{fact} {'word ' * 700}") for n, fact in enumerate(FACTS)]
OPTIONS = Options(max_input_tokens=20_000, chunk_input_tokens=2_000)


class Model:
    """A model that makes one page of each question, after a script of failures."""

    def __init__(self, *fails, folder="concepts", lie=""):
        self.fails, self.folder, self.lie = list(fails), folder, lie
        self.asked = []

    def __call__(self, ask):
        self.asked.append(next(n for n, fact in enumerate(FACTS) if fact in ask.user))
        if self.fails and (error := self.fails.pop(0)):
            raise error
        n = self.asked[-1]
        page = {"path": f"{self.folder}/fact-{n}.md", "title": "Fact", "body_markdown": FACTS[n] + self.lie, "tags": []}
        value = {"pages": [page], "rationale": f"It says {FACTS[n]}"}
        return Answer("", value, "fake", "fake-1", 100, 10, 0.1)


@pytest.fixture
def run(world):
    """Bootstrap the shop, and hear of the progress."""

    def run(model, sources=SOURCES, options=OPTIONS):
        memory = world.memory
        run.told = []
        bootstrapping = Bootstrapping(memory.stores, memory.projects, memory.pages)
        return bootstrapping.run(
            SHOP, sources, options, Writer(user="ana"), model, lambda *so_far: run.told.append(so_far)
        )

    return run


def shop(world):
    return world.memory.projects.look_up(SHOP).project


def files(world):
    folder = world.memory.stores.wiki.folder(shop(world))
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.md") if file.name != "_meta.md")


def transient():
    return ModelError("the vendor is not well", "transient")


def test_pages_and_manifest_are_one_commit_and_progress_is_told(world, run):
    model = Model()
    outcome = run(model)
    pages = [f"concepts/fact-{n}.md" for n in range(3)]
    assert outcome.as_json() | {"estimated_input_tokens": 0} == {
        "sources_collected": 3,
        "sources_sent": 3,
        "sources_dropped": 0,
        "sources_by_kind": {"project_rules": 0, "readme": 0, "doc_files": 3, "git_commits": 0, "module_headers": 0},
        "estimated_input_tokens": 0,
        "llm_chunks": 3,
        "pages_written": ["bootstrap.md", *pages],
        "pages_refused": [],
        "rationale": "\n\n".join(f"It says {fact}" for fact in FACTS),
        "dry_run": False,
        "llm_chunks_resumed": 0,
        "scope": "default/shop",
    }
    assert files(world) == ["bootstrap.md", *pages]
    assert world.subjects()[0] == "bootstrap: 3 LLM chunk(s), ingested 3 sources, wrote 3 pages"
    assert run.told == [(0, 3, 0), (1, 3, 1), (2, 3, 2), (3, 3, 3)]
    row = world.memory.stores.pages.page(shop(world).id, "concepts/fact-0.md")
    assert (row.tier, row.sealed) == ("semantic", True)
    assert world.memory.stores.pages.newest(shop(world).id, "bootstrap.md").author == "ana"


def test_after_a_failed_question_the_same_again_pays_for_the_rest_alone(world, run):
    failing = Model(None, transient())
    with pytest.raises(
        UnansweredError, match="question 2 of 3 got no answer; the answers to 1 before it are kept"
    ) as error:
        run(failing)
    assert (error.value.status, files(world), failing.asked) == (503, [], [0, 1])
    world.crash()
    world.open()
    model = Model()
    outcome = run(model)
    assert (model.asked, outcome.resumed, run.told[0]) == ([1, 2], 1, (1, 3, 0))
    assert files(world) == ["bootstrap.md", *(f"concepts/fact-{n}.md" for n in range(3))]


def test_an_answer_that_cannot_be_used_is_named_and_the_others_become_pages(world, run):
    outcome = run(Model(None, ModelError("the answer was cut off", "truncated")))
    assert outcome.pages == ("bootstrap.md", "concepts/fact-0.md", "concepts/fact-2.md")
    assert [(each.what, each.why) for each in outcome.refused] == [("question 2 of 3", "the answer was cut off")]


def test_where_no_answer_can_be_used_nothing_is_written_and_nothing_kept(world, run):
    with pytest.raises(UnansweredError, match="no question got an answer that can be used: it will not"):
        run(Model(*[ModelError("it will not", "refused")] * 3))
    assert files(world) == []
    assert run(Model()).resumed == 0


def test_a_kill_after_the_last_answer_pays_for_nothing_again(world, run, monkeypatch):
    model = Model()
    monkeypatch.setattr(Bootstrapping, "_save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(model)
    monkeypatch.undo()
    world.crash()
    world.open()
    again = Model()
    assert (run(again).resumed, again.asked, len(files(world))) == (3, [], 4)
    assert world.memory.stores.state.bootstraps.of(shop(world).id, "x") == []


def test_other_sources_are_asked_about_anew(world, run):
    with pytest.raises(UnansweredError):
        run(Model(None, transient()))
    model = Model()
    run(model, [*SOURCES[:2], Source("doc_file", "doc: docs/2.md", f"{FACTS[2]} Changed.")])
    assert model.asked[0] == 0


def test_a_second_run_is_refused_without_force_and_asks_nobody(world, run):
    run(Model())
    model = Model()
    with pytest.raises(AlreadyBootstrappedError, match="default/shop was bootstrapped before"):
        run(model)
    assert model.asked == []


def test_force_replaces_what_it_wrote_before_and_nobody_has_changed(world, run):
    run(Model())
    pages = world.memory.pages
    pages.write(shop(world), "concepts/fact-0.md", "Edited by hand.", Fields(), Writer(user="ana"))
    pages.write(shop(world), "decisions/0004-mine.md", "Mine.", Fields(), Writer(user="ana"))
    pages.delete(shop(world), "concepts/fact-1.md", Writer(user="ana"))
    forced = Options(max_input_tokens=20_000, chunk_input_tokens=2_000, force=True)
    outcome = run(Model(), options=forced)
    assert files(world) == ["bootstrap.md", "concepts/fact-0.md", "concepts/fact-2.md", "decisions/0004-mine.md"]
    assert [(each.what, each.why) for each in outcome.refused] == [
        ("concepts/fact-0.md", "there is such a page already"),
        ("concepts/fact-1.md", "it was deleted, or somebody has changed it"),
    ]
    outcome = run(Model(folder="decisions"), options=forced)
    assert outcome.pages[1:] == ("decisions/0005-fact-0.md", "decisions/0006-fact-1.md", "decisions/0007-fact-2.md")
    assert "concepts/fact-2.md" not in files(world)
    assert "Edited by hand." in pages.read(shop(world), "concepts/fact-0.md").body


def test_force_leaves_a_manifest_that_somebody_has_edited(world, run):
    run(Model())
    world.memory.pages.write(shop(world), "bootstrap.md", "My own notes.", Fields(), Writer(user="ana"))
    outcome = run(Model(), options=Options(max_input_tokens=20_000, chunk_input_tokens=2_000, force=True))
    assert ("bootstrap.md", "somebody has changed it, so it stays as it is") in [
        (each.what, each.why) for each in outcome.refused
    ]
    assert "bootstrap.md" not in outcome.pages
    assert "My own notes." in world.memory.pages.read(shop(world), "bootstrap.md").body


def test_answers_without_a_page_leave_what_there_is(world, run):
    run(Model())
    forced = Options(max_input_tokens=20_000, chunk_input_tokens=2_000, force=True)
    outcome = run(Model(lie=" See `src/invented.py`."), options=forced)
    assert (outcome.pages, len(outcome.refused), len(files(world))) == (("bootstrap.md",), 3, 4)


def test_a_dry_run_makes_nothing(world, run):
    model = Model()
    outcome = run(model, options=Options(max_input_tokens=20_000, chunk_input_tokens=2_000, dry_run=True))
    report = outcome.as_json()
    assert (report["llm_chunks"], report["dry_run"], report["scope"], report["pages_written"]) == (3, True, None, [])
    assert (model.asked, world.memory.projects.all(), world.subjects()) == ([], [], [])


def test_without_sources_nothing_is_made(world, run):
    with pytest.raises(NoSourcesError, match="nothing to make pages of"):
        run(Model(), [])
    assert world.memory.projects.all() == []


def test_a_second_one_at_once_is_refused(world):
    memory = world.memory
    bootstrapping = Bootstrapping(memory.stores, memory.projects, memory.pages)
    inner = []

    def ask(question):
        with pytest.raises(ConflictError, match="a bootstrap is under way"):
            bootstrapping.run(SHOP, SOURCES, OPTIONS, Writer(), ask, lambda *_: None)
        inner.append(question)
        return Answer("", {"pages": [], "rationale": ""}, "fake", "fake-1", 1, 1, 0.1)

    bootstrapping.run(SHOP, SOURCES, OPTIONS, Writer(), ask, lambda *_: None)
    assert len(inner) == 3


def test_secrets_reach_neither_the_model_nor_the_disk(world, run):
    secret = "ghp_" + "a1B2c3D4e5F6" * 3
    model = Model(transient())
    asked = []
    with pytest.raises(UnansweredError):
        run(
            lambda ask: asked.append(ask.user) or model(ask),
            [Source("readme", f"README {secret}", f"{FACTS[0]} {secret}")],
        )
    assert secret not in asked[0]
    telling = Model(lie=f" {secret}")
    run(telling, [Source("readme", "README", FACTS[0])])
    world.close()
    stored = b"".join(file.read_bytes() for file in world.data.rglob("*") if file.is_file())
    assert secret.encode() not in stored
