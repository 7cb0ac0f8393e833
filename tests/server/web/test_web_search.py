import time
import uuid
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.memory.pages import Writer
from ai_memory.model.filters import Filters
from ai_memory.server.web.search import marked
from tests.own_server import served
from tests.server.web.screens import look, works

SESSION = uuid.UUID(int=1 + (4 << 76) + (2 << 62))
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
TAG = 'a "quoted" tag'
TEXTS = {
    "decisions/rounding.md": "---\ntags: [money]\n---\n# Round once\n\nRound the saffron invoice once.\n",
    "gotchas/decimals.md": "# Decimals\n\n## Why\n\nThe saffron decimals are lost <mark>here</mark> & there.\n",
    "notes/hostile.md": f"---\ntitle: {HOSTILE!r}\ntags: ['{TAG}']\n---\nPaprika {HOSTILE} \u202epaprika.\n",
    "odd folder/100%/a#b.md": "# Odd\n\nTurmeric.\n",
}
MANY = {f"many/m{n:03}.md": f"# Page {n}\n\nCinnamon number {n}.\n" for n in range(45)}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with served(tmp_path_factory) as own:
        memory = own.memory
        shop = memory.projects.create("default", "shop")
        memory.pages.write_several(shop, TEXTS, Writer("codex"), subject="pages")
        works(memory, SESSION, "How is cardamom rounded?", cwd="/srv/bank", repo_root="/srv/bank")
        bank = memory.projects.named("default", "bank")
        memory.pages.write_several(bank, {"notes/b.md": "# Of the bank\n\nSaffron.\n"}, Writer("codex"), subject="b")
        depot = memory.projects.create("work", "depot")
        memory.pages.write_several(depot, MANY, Writer("codex"), subject="many")
        yield own


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    with served(tmp_path_factory) as own:
        yield own


def search(own, **asked):
    return look(own, f"/web/search?{urlencode(asked)}")


def told(screen):
    return screen.body.partition('role="status">')[2].partition("</p>")[0] if 'id="told"' in screen.body else ""


def hits(screen):
    """The addresses of the hits, in their order."""
    parts = screen.body.partition('<ol class="hits"')[2].partition("</ol>")[0].split("<h2>")[1:]
    return [part.partition('href="')[2].partition('"')[0] for part in parts]


def test_a_hit_shows_where_it_is_what_fits_in_it_and_why(own):
    screen = search(own, q="saffron decimals", project="shop")
    first = screen.body.partition('<ol class="hits"')[2].partition("</li>")[0]
    assert hits(screen)[0] == "/web/w/default/shop/p/gotchas/decimals.md"
    assert "<mark>saffron</mark> <mark>decimals</mark> are lost here &amp; there." in first
    for shown in ("Decimals", "Why", "gotcha", "default/shop", "gotchas/decimals.md", "found by its words", "<time "):
        assert shown in first
    assert look(own, hits(screen)[0]).status == 200


def test_filters_narrow_and_stand_in_the_address(own):
    decision, other = "/web/w/default/shop/p/decisions/rounding.md", "/web/w/default/bank/p/notes/b.md"
    assert hits(search(own, q="saffron", kind="decision")) == [decision]
    assert hits(search(own, tag="money")) == [decision]
    assert hits(search(own, q="saffron", project="bank")) == [other]
    screen = search(own, q="saffron", workspace="default", project="shop", kind="decision", tag="money")
    assert [option["selected"] for _, option in screen.tags if "selected" in option] == [None] * 3
    assert screen.elements("input", name="tag", value="money")
    assert screen.elements("input", id="q", value="saffron")


def test_what_was_said_in_a_session_leads_to_the_turn(own):
    (address,) = hits(search(own, q="cardamom", workspace="default", kind="session"))
    assert address == f"/web/w/default/bank/s/{SESSION}?offset=1#n2"
    session = look(own, address.partition("#")[0])
    assert session.body.partition('id="n2"')[2].partition("</li>")[0].count("How is cardamom rounded?") == 1


def test_days_narrow_from_the_first_to_the_last_moment(own):
    today, before = (time.strftime("%Y-%m-%d", time.localtime(time.time() - back)) for back in (0, 86400))
    assert len(hits(search(own, q="saffron", since=before, until=today))) == 3
    assert hits(search(own, q="saffron", until="2026-01-01")) == []
    assert hits(search(own, q="saffron", since="2099-01-01")) == []


@pytest.mark.parametrize("said", ["tomorrow", "2026-02-30", "20261121T10", "0000-00-00"])
def test_what_is_no_day_is_refused_with_what_to_write(own, said):
    screen = search(own, q="saffron", since=said)
    assert (screen.status, "since is no day: write it as 2026-11-21" in screen.text) == (400, True)


def test_what_is_stored_is_shown_and_never_obeyed(own):
    screen = search(own, q="paprika")
    assert HOSTILE in screen.text
    assert [said for name, said in screen.tags if name in ("img", "script") and "src" not in said] == []
    assert not screen.elements("img", src="x")
    assert "\u202e" not in screen.body
    assert hits(search(own, tag=TAG)) == ["/web/w/default/shop/p/notes/hostile.md"]
    assert search(own, q=HOSTILE).elements("input", id="q", value=HOSTILE)


def test_a_path_with_odd_signs_is_led_to(own):
    (address,) = hits(search(own, q="turmeric"))
    assert address == "/web/w/default/shop/p/" + quote("odd folder/100%/a#b.md")
    assert look(own, address).status == 200


def test_twenty_hits_are_on_a_screen_and_more_leads_on_to_the_last(own):
    first = search(own, q="cinnamon", workspace="work")
    second = look(own, first.links["More →"])
    third = look(own, second.links["More →"])
    assert [told(each) for each in (first, second, third)] == [
        "Hits 1 to 20, and more",
        "Hits 21 to 40, and more",
        "Hits 41 to 45",
    ]
    assert len({address for each in (first, second, third) for address in hits(each)}) == 45
    assert "More →" not in third.links
    assert hits(look(own, third.links["← Before"])) == hits(second)
    assert hits(look(own, second.links["← Before"])) == hits(first)


def test_with_nothing_asked_it_shows_what_changed_last_and_how_to_ask(own):
    screen = look(own, "/web/search?workspace=default")
    assert told(screen) == "What changed last"
    assert set(screen.links) >= {"Of the bank", "Round once", "Decimals"}
    assert "kind:gotcha" in screen.text
    assert str(SESSION) not in screen.body


def test_when_nothing_fits_it_says_what_to_try(own):
    screen = search(own, q="nutmeg", project="shop", kind="decision")
    assert (told(screen), hits(screen)) == ("Nothing found", [])
    assert "Nothing fits “nutmeg”." in screen.text
    assert "take a filter away" in screen.text
    assert screen.links["look in all projects"] == "/web/search?q=nutmeg"


@pytest.mark.parametrize("asked", ['"', "path:", "AND OR NOT", "*", "((", "\x00", "a" * 1000, 'kind:"', "💥"])
def test_anything_can_be_typed(own, asked):
    assert search(own, q=asked, kind="decision", page="99999999999999999999").status == 200


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"workspace": "nowhere"}, "there is no workspace nowhere"),
        ({"project": "nothing"}, "there is no project nothing"),
        ({"workspace": "default", "project": "nothing"}, "nothing"),
    ],
    ids=["workspace", "project", "both"],
)
def test_an_unknown_project_is_a_page_that_says_so(own, asked, problem):
    screen = search(own, q="saffron", **asked)
    assert (screen.status, problem in screen.text) == (404, True)


def test_an_empty_store_says_what_to_do_next(bare):
    screen = look(bare, "/web/search")
    assert "Nothing is known here yet." in screen.text
    assert screen.links["all projects"] == "/web"
    assert told(search(bare, q="saffron")) == "Nothing found"


def test_a_search_without_meaning_says_so(own, monkeypatch):
    embedding = own.memory.embedding
    monkeypatch.setattr(type(embedding), "is_on", property(lambda _: True))
    monkeypatch.setattr(embedding, "query", lambda _: (None, "the embedder <b>is</b> away"))
    screen = search(own, q="turmeric")
    assert told(screen) == "1 hit, by words alone"
    assert "this is by words alone: the embedder <b>is</b> away" in screen.text


def test_filters_beside_the_text_are_added_to_those_in_it(own):
    ask, shop = own.memory.recall.ask, [own.memory.projects.named("default", "shop")]
    both = ask("saffron kind:gotcha", shop, filters=Filters(kinds=("decision",))).hits
    assert {hit.kind for hit in both} == {"decision", "gotcha"}
    assert ask("saffron kind:gotcha", shop, filters=Filters(tags=("money",))).hits == []


@given(st.lists(st.sampled_from(["<mark>", "</mark>", "<b>", "&", '"', "word", "\u202e", "</script>"])))
def test_of_a_snippet_only_whole_marks_are_markup(parts):
    shown = str(marked("".join(parts)))
    assert shown.count("<mark>") == shown.count("</mark>")
    rest = shown.replace("<mark>", "").replace("</mark>", "")
    assert not set(rest) & set('<>"\u202e')
