"""Recall: what words, meaning, links and standing make of a question; each hit says why."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from ai_memory.errors import BadRequestError
from ai_memory.memory.embedding import Embedding
from ai_memory.memory.pages import Fields, Writer
from ai_memory.memory.recall import Recall
from ai_memory.model.scope import Routing
from ai_memory.search.embed.embedder import EmbeddingError
from tests.memory.meaning import Meaning

ANA = Writer(user="ana")


@pytest.fixture
def desk(world):
    return Desk(world)


class Desk:
    """Pages of two projects, and what is found of them."""

    def __init__(self, world):
        self.world = world
        self.shop, self.bank = (self.project(name) for name in ("shop", "bank"))

    @property
    def memory(self):
        return self.world.memory

    def project(self, name):
        return self.memory.projects.ensure(Routing(cwd=f"/srv/{name}", repo_root=f"/srv/{name}")).project

    def write(self, path, body, project=None, **fields):
        self.world.passes(minutes=1)
        self.memory.pages.write(project or self.shop, path, body, Fields(**fields), ANA)

    def hits(self, text, *projects, **how):
        return self.memory.recall.search(text, projects, **how)

    def found(self, text, *projects, **how):
        return [hit.path for hit in self.hits(text, *projects, **how)]


def test_a_session_is_found_by_the_words_of_one_turn_which_is_quoted(world, desk, ids):
    world.works(ids[0], prompt="Why is the total off?", answer="Half cents were truncated, use banker's rounding.")
    world.works(ids[1], prompt="Paint the door", answer="It is green now.")
    (hit,) = desk.hits("truncated cents")
    assert (hit.path, hit.kind, hit.title) == (f"sessions/{ids[0]}.md", "session", "Why is the total off?")
    assert hit.snippet == "Half <mark>cents</mark> were <mark>truncated</mark>, use banker's rounding."
    assert (hit.turn.kind, hit.turn.n, hit.turn.at) == ("answer", 3, world.now - timedelta(seconds=4))


def test_an_answer_is_found_by_the_words_of_its_question(world, desk, ids):
    world.works(ids[0], prompt="Which colour has the saffron crocus?", answer="Violet.")
    assert desk.found("saffron crocus colour violet") == [f"sessions/{ids[0]}.md"]


def test_a_session_that_goes_on_is_found_before_it_has_a_page(world, desk, ids):
    world.says(ids[0], "user-prompt", prompt="Migrate the ledger to postgres")
    (hit,) = desk.hits("postgres ledger")
    assert (hit.path, hit.title, world.pages()) == (f"sessions/{ids[0]}.md", "Migrate the ledger to postgres", {})


def test_a_page_and_its_session_are_one_hit(world, desk, ids):
    world.works(ids[0], prompt="Explain the kerning", answer="Kerning is space.")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    assert desk.found("kerning") == [f"sessions/{ids[0]}.md"]


def test_of_a_session_whose_page_was_deleted_nothing_is_found(world, desk, ids):
    world.works(ids[0], prompt="Explain the kerning", answer="Kerning is space.")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    world.memory.pages.delete(desk.shop, f"sessions/{ids[0]}.md", ANA)
    assert desk.found("kerning") == []


def test_one_hit_is_the_first_of_fifty(desk):
    for number in range(30):
        desk.write(
            f"notes/{number:02}.md", f"# Note {number}\n\nThe tax of region {number} is rounded {'up ' * number}.\n"
        )
    desk.write("decisions/tax.md", "# Tax\n\nTax is rounded per region.\n", tags=["canonical"])
    assert desk.found("tax rounded region", limit=1) == desk.found("tax rounded region", limit=50)[:1]


def test_a_decision_comes_before_the_log_that_led_to_it_and_a_log_is_found_by_its_own_words(world, desk, ids):
    world.works(ids[0], prompt="Round the invoice per line?", answer="We round the invoice per line. Unicorns aside.")
    desk.write("decisions/rounding.md", "# Rounding\n\nWe round the invoice per line.\n", tier="semantic")
    assert desk.found("round the invoice per line")[0] == "decisions/rounding.md"
    assert desk.found("unicorns aside") == [f"sessions/{ids[0]}.md"]


def test_a_page_that_says_one_of_the_words_again_and_again_does_not_win(desk):
    desk.write("notes/noise.md", "# Cache\n\n" + "cache " * 200)
    desk.write("notes/answer.md", "# Eviction\n\nThe cache evicts by age, the oldest entry first.\n")
    assert desk.found("how does the cache evict the oldest entry")[0] == "notes/answer.md"


def test_filters_narrow_pages_and_sessions(world, desk, ids):
    desk.write("decisions/vat.md", "# VAT\n\nRounding of VAT.\n", tags=["Money", "tax"])
    desk.write("notes/plan.md", "# Plan\n\nRounding, later.\n", tags=["money"])
    world.passes(days=3)
    world.works(ids[0], prompt="Rounding again?", answer="Rounding done.")
    session = f"sessions/{ids[0]}.md"
    assert set(desk.found("rounding")) == {"decisions/vat.md", "notes/plan.md", session}
    assert desk.found("rounding path:decisions/") == ["decisions/vat.md"]
    assert desk.found("rounding path:*plan*") == ["notes/plan.md"]
    assert desk.found("rounding kind:session") == [session]
    assert desk.found("rounding kind:decision kind:gotcha") == ["decisions/vat.md"]
    assert desk.found("rounding tag:money tag:tax") == ["decisions/vat.md"]
    assert desk.found("rounding since:2026-11-22") == [session]
    assert set(desk.found("rounding before:2026-11-22")) == {"decisions/vat.md", "notes/plan.md"}
    assert desk.found("rounding kind:session path:decisions/") == []


def test_filters_alone_list_the_last_changed_first(desk):
    desk.write("notes/old.md", "One.")
    desk.write("decisions/new.md", "Two.")
    desk.write("notes/new.md", "Three.")
    assert desk.found("path:notes/") == ["notes/new.md", "notes/old.md"]
    assert desk.found("path:notes/", desk.bank) == []


def test_an_expired_page_is_found_on_request_only(desk):
    desk.write("notes/sale.md", "---\nexpires_at: 2026-01-01\n---\n# Sale\n\nEverything for half.\n")
    assert (desk.found("sale"), desk.found("kind:note")) == ([], [])
    asked = desk.memory.recall.ask("sale everything", expired=True)
    assert [hit.path for hit in asked.hits] == ["notes/sale.md"]


def test_the_past_is_searched_by_words_and_paths_alone(desk):
    desk.write("notes/a.md", "# A\n\nBefore the flood.\n")
    then = desk.world.now
    desk.write("notes/a.md", "# A\n\nAfter it.\n")
    assert (desk.found("flood"), desk.found("flood", at=then)) == ([], ["notes/a.md"])
    assert desk.found("flood path:decisions/", at=then) == []
    with pytest.raises(BadRequestError, match="only path: works"):
        desk.found("flood tag:x", at=then)


def test_a_search_stays_in_its_projects_and_finds_in_all_of_them_where_none_is_named(desk):
    desk.write("notes/a.md", "saffron")
    desk.write("notes/b.md", "saffron", desk.bank)
    assert desk.found("saffron", desk.shop) == ["notes/a.md"]
    assert set(desk.found("saffron", desk.shop, desk.bank)) == {"notes/a.md", "notes/b.md"}
    assert set(desk.found("saffron")) == {"notes/a.md", "notes/b.md"}


def test_a_question_that_names_a_project_prefers_what_is_in_it(desk):
    for project in (desk.shop, desk.bank):
        desk.write("notes/db.md", "# Database\n\nIt runs on port 5432.\n", project)
    assert [hit.project.name for hit in desk.hits("which port has the database of the bank?")] == ["bank", "shop"]
    assert [hit.project.name for hit in desk.hits("which port has the database of the shop?")] == ["shop", "bank"]


def test_the_page_at_the_other_end_of_a_link_is_a_hit_that_says_so(desk):
    desk.write("concepts/ledger.md", "# Ledger\n\nDouble entry.\n")
    desk.write("notes/audit.md", "# Audit\n\nQuarterly, see [[concepts/ledger]].\n")
    hits = desk.hits("quarterly audit")
    assert [(hit.path, hit.why) for hit in hits] == [
        ("notes/audit.md", "its words"),
        ("concepts/ledger.md", "a link to or from notes/audit.md"),
    ]
    assert hits[1].snippet == "Double entry."


def test_words_without_spaces_are_found_and_marked(desk):
    desk.write("notes/db.md", "# 数据库\n\n我们决定使用新的数据库迁移工具。\n")
    desk.write("notes/other.md", "# 天气\n\n今天下雨。\n")
    (hit,) = desk.hits("数据库迁移")
    assert (hit.path, "<mark>" in hit.snippet) == ("notes/db.md", True)


@pytest.mark.parametrize("text", ["foo-bar", "c++", "AND", '"x', "NEAR(a b)", "*", "a:b", "💥", "", "the"])
def test_any_text_is_a_question(desk, text):
    desk.write("notes/a.md", "# X\n\nfoo-bar in c++ AND x\n")
    assert isinstance(desk.found(text), list)


@pytest.fixture
def meant(world, desk):
    """Recall with an embedder that is ready; gives (recall, embedder)."""
    meaning = Meaning()
    embedding = Embedding(world.memory.stores, "openai-compat", lambda: meaning)
    embedding.embed([each.id for each in world.memory.projects.all()])

    def everything():
        embedding.embed([each.id for each in world.memory.projects.all()])
        return Recall(world.memory.stores, world.memory.projects, embedding)

    yield everything, meaning
    embedding.stop()


def test_what_means_the_same_in_other_words_is_found_and_described(desk, meant):
    desk.write("notes/auth.md", "# Access\n\nHow users authenticate.\n\nMore of it.\n")
    desk.write("notes/ship.md", "# Plan\n\nThe rollout is on Friday.\n")
    (everything, _) = meant
    answer = everything().ask("login password")
    hit = answer.hits[0]
    assert (hit.path, hit.why, answer.streams, answer.degraded) == ("notes/auth.md", "its meaning", ["vectors"], "")
    assert hit.snippet == "How users authenticate. More of it."
    assert hit.details["streams"]["vectors"]["rank"] == 1


def test_a_session_is_found_by_the_meaning_of_a_turn(world, desk, ids, meant):
    world.works(ids[0], prompt="Users cannot authenticate", answer="Fixed.")
    world.works(ids[1], prompt="The rollout failed", answer="Repaired.")
    hit = meant[0]().ask("login").hits[0]
    assert (hit.path, hit.snippet, hit.turn.kind) == (f"sessions/{ids[0]}.md", "Users cannot authenticate", "prompt")


def test_a_broken_embedder_leaves_the_words_and_the_answer_says_so(desk, meant):
    desk.write("notes/auth.md", "# Access\n\nHow users authenticate.\n")
    everything, meaning = meant
    recall = everything()
    meaning.trouble = EmbeddingError("the server is on fire", "later")
    answer = recall.ask("users authenticate daily")
    assert ([hit.path for hit in answer.hits], answer.streams) == (["notes/auth.md"], ["pages"])
    assert "on fire" in answer.degraded


def test_what_has_expired_or_is_filtered_away_is_not_found_by_its_meaning_either(desk, meant):
    desk.write("notes/auth.md", "---\nexpires_at: 2026-01-01\n---\n# Access\n\nHow users authenticate.\n")
    desk.write("notes/more.md", "# Access\n\nHow machines authenticate.\n")
    recall = meant[0]()
    assert [hit.path for hit in recall.ask("login").hits] == ["notes/more.md"]
    assert recall.ask("login path:decisions/").hits == []
    assert recall.ask("login kind:session").hits == []


# What a reviewer found


def test_a_filter_narrows_before_anything_is_cut(world, desk, meant):
    for number in range(110):
        session = f"00000000-0000-4000-8000-{number:012}"
        world.says(session, "user-prompt", prompt=f"vouchers vouchers {number}")
    desk.write("decisions/x.md", "# X\n\nA long page of many words that names vouchers once, and login.\n")
    assert desk.found("vouchers path:decisions/", limit=100) == ["decisions/x.md"]
    for number in range(110):
        desk.write(f"notes/{number:03}.md", f"# {number}\n\nlogin password {number}\n")
    assert "decisions/x.md" in [hit.path for hit in meant[0]().ask("authenticate path:decisions/").hits]


def test_deleted_sessions_take_no_place_of_others(world, desk, ids):
    deleted = [f"00000000-0000-4000-9000-{number:012}" for number in range(110)]
    for session in deleted:
        world.says(session, "user-prompt", prompt="vouchers vouchers")
        world.says(session, "session-end")
    world.memory.sessions.settle()
    with world.memory.stores.wiki.lock:
        world.memory.pages.accept_missing(desk.shop, [f"sessions/{session}.md" for session in deleted])
    world.works(ids[0], prompt="Of vouchers and many other things that were said at length", answer="Done.")
    desk.write("notes/x.md", "# X\n\nA voucher.\n")
    assert set(desk.found("vouchers", limit=100)) == {f"sessions/{ids[0]}.md", "notes/x.md"}


def test_a_session_that_went_on_is_found_by_what_it_said_before(world, desk, ids):
    world.works(ids[0], prompt="Which vouchers?", answer="The red ones.")
    world.passes(days=3)
    world.works(ids[0], prompt="And the boats?", answer="Blue.")
    path = f"sessions/{ids[0]}.md"
    assert desk.found("vouchers before:2026-11-21") == [path]
    assert desk.found("vouchers since:2026-11-22") in ([], [path])
    assert desk.found("boats before:2026-11-21") in ([], [path])


def test_an_expired_session_page_hides_the_session_whatever_narrows(world, desk, ids):
    world.works(ids[0], prompt="Which vouchers?", answer="The red ones.")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    page = world.memory.pages.read(desk.shop, f"sessions/{ids[0]}.md").text
    world.memory.pages.write(
        desk.shop, f"sessions/{ids[0]}.md", page.replace("---\n", "---\nexpires_at: 2026-01-01\n", 1), Fields(), ANA
    )
    assert (desk.found("vouchers"), desk.found("vouchers kind:session before:2026-11-25")) == ([], [])


def test_a_word_that_nobody_said_hides_nothing(desk, monkeypatch):
    from ai_memory.store import words

    monkeypatch.setattr(words, "_SCORED", dict.fromkeys(words._SCORED, 5))
    monkeypatch.setattr(words, "_ENOUGH", 3)
    for number in range(20):
        desk.write(f"notes/{number:02}.md", f"# {number}\n\nAuthentication of region {number}.\n")
    assert len(desk.found("zzzyx authentication", limit=50)) == 20
    desk.write("notes/bob.md", "# Bob\n\nBob.\n")
    assert len(desk.found("Bob authentication", limit=50)) == 21


def test_a_phrase_of_common_words_weighs_as_much_as_it_is_rare(world, desk, ids):
    for number in range(20):
        desk.write(
            f"notes/{number:02}.md",
            f"# {number}\n\nalpha beta\n" if number == 7 else f"# {number}\n\nbeta then alpha\n",
        )
    world.works(ids[0], prompt='What is "alpha beta"?', answer="alpha beta is alpha beta")
    assert set(desk.found('"alpha beta"')) == {"notes/07.md", f"sessions/{ids[0]}.md"}
    for hit in desk.hits('"alpha beta"'):
        assert all(0 < each["share"] <= 1 for each in hit.details["streams"].values())


def test_tags_and_kinds_are_compared_without_case_in_any_alphabet(desk):
    desk.write("gotchas/x.md", "# X\n\nsaffron\n", tags=["Über"])
    assert desk.found("saffron tag:über kind:Gotcha") == desk.found("saffron tag:ÜBER") == ["gotchas/x.md"]


def test_a_listing_quotes_what_each_page_is_about(desk):
    desk.write("notes/a.md", "# A\n\nAll about saffron.\n")
    assert [hit.snippet for hit in desk.hits("path:notes/")] == ["All about saffron."]


def test_stored_marks_are_not_taken_for_ours(desk):
    desk.write("notes/a.md", "# A\n\nsay <mark>boo</mark> to vouchers\n")
    assert desk.hits("vouchers")[0].snippet == "say boo to <mark>vouchers</mark>"


def test_sessions_are_narrowed_by_when_they_spoke_also_where_their_page_is_newer(world, desk, ids):
    world.works(ids[0], prompt="Which vouchers?", answer="The red ones.")
    world.passes(days=3)
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    path = f"sessions/{ids[0]}.md"
    assert desk.found("kind:session before:2026-11-21") == [path]
    (hit,) = desk.hits("vouchers before:2026-11-21")
    assert (hit.path, hit.is_page) == (path, True)


def test_the_preferences_that_hold_everywhere_are_searched_with_every_project(desk):
    projects = desk.memory.projects
    everywhere = replace(desk.bank, id=UUID(int=7), name="_global", aliases=(), roots=())
    projects._save(everywhere)
    projects.reload()
    desk.write("_rules/tabs.md", "Always indent with tabs.", everywhere)
    desk.write("notes/tabs.md", "Tabs were discussed.", desk.bank)
    assert desk.found("indent tabs", desk.shop) == ["_rules/tabs.md"]
    assert set(desk.found("indent tabs")) == {"_rules/tabs.md", "notes/tabs.md"}


def test_what_means_nothing_like_it_is_not_found(desk, meant):
    desk.write("notes/auth.md", "# Access\n\nHow users authenticate.\n")
    recall = meant[0]()
    assert recall.ask("rollout").hits == []
    assert (recall.ask("!!!").hits, recall.ask("!!!").streams) == ([], [])
