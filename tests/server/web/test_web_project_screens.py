import re
import uuid

import pytest

from ai_memory.memory.pages import NOBODY, Fields, Writer
from tests.own_server import served
from tests.server.web.screens import look, works

FIRST, SECOND, OPEN, GONE = (uuid.UUID(int=n + (4 << 76) + (2 << 62)) for n in range(1, 5))
HOSTILE = '<script>alert(1)</script>\u202e"><img src=x onerror=alert(1)>'
NARRATIVE = (
    """# Narrative of shop

## The Idea

- Invoices are right to the cent: [[decisions/rounding.md|why]], [[not/there.md]].

## What's Done

- Invoices, [as it goes on](#resuming).

## Resuming

"""
    + "Go on with the refunds. " * 100
)


def page(path, title, kind="note", **front):
    lines = "".join(f"{key}: {value}\n" for key, value in front.items())
    return path, f"---\ntitle: {title!r}\nkind: {kind}\n{lines}---\nText.\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with served(tmp_path_factory) as own:
        memory = own.memory
        memory.projects.create("default", "empty")
        works(memory, FIRST, "Please round the invoices once.")
        works(memory, SECOND, f"Hostile {HOSTILE}")
        works(memory, GONE, "Nobody is to know of this.")
        works(memory, OPEN, "Now the refunds, please.", end=False)
        memory.sessions.settle(20)
        own.shop = memory.projects.named("default", "shop")
        own.atlas = memory.projects.create("default", "atlas")
        memory.pages.delete(own.shop, f"sessions/{GONE}.md", NOBODY)
        texts = dict(
            [
                page("_rules/money.md", "Money is never a float", "rule"),
                page("decisions/rounding.md", "Round once", "decision"),
                page("notes/hostile.md", HOSTILE),
                page("notes/twice-a.md", "Twice"),
                page("notes/twice-b.md", "Twice"),
                page("odd folder/100%/a#b.md", "Odd"),
                page("top.md", "On top", pinned="true"),
            ]
        )
        memory.pages.write_several(own.shop, texts, NOBODY, subject="pages")
        many = dict(page(f"many/m{n:03}.md", f"Page {n}") for n in range(105))
        many |= dict(page(f"folders/f{n:03}/one.md", f"In {n}") for n in range(103))
        many |= dict([page("folders/last.md", "Last"), page("links.md", "Out")])
        many["links.md"] += "[[shop:decisions/rounding.md]]"
        memory.pages.write_several(own.atlas, many, NOBODY, subject="pages")
        memory.pages.write(own.shop, "narrative.md", NARRATIVE, Fields(title="Narrative of shop"), Writer("codex"))
        own.left = memory.handoffs.begin(
            own.shop,
            summary=f"The invoice is right. {HOSTILE}",
            open_questions=["May a refund exceed the total?"],
            next_steps=["Round the refund"],
            files_touched=["refunds.py"],
            from_agent="codex",
            to_agent="claude-code",
        )
        own.dropped = memory.handoffs.begin(own.shop, summary="Never mind.")
        memory.handoffs.cancel(own.shop, own.dropped.id)
        yield own


def test_an_overview_begins_with_what_is_left_to_do(own):
    screen = look(own, "/web/w/default/shop")
    order = ["Open handoff", "Next steps", "Round the refund", "May a refund exceed", "Narrative", "Recent knowledge"]
    places = [screen.text.index(each) for each in order]
    assert (screen.status, places) == (200, sorted(places))
    assert "from codex, by hand · for claude-code · left just now" in screen.text
    assert screen.links["All 4 sessions"] == "/web/w/default/shop/sessions"


def test_an_overview_shows_the_beginning_of_the_narrative(own):
    screen = look(own, "/web/w/default/shop")
    assert "Invoices are right to the cent" in screen.text
    assert screen.links["why"] == "/web/w/default/shop/p/decisions/rounding.md"
    assert screen.elements("span", title="no such page") == [{"class": "missing", "title": "no such page"}]
    assert "Go on with the refunds." not in screen.text
    assert screen.links["as it goes on"] == "/web/w/default/shop/p/narrative.md#h-resuming"
    assert screen.links["Read on"] == "/web/w/default/shop/p/narrative.md"


def test_an_overview_leads_to_rules_folders_sessions_and_neighbours(own):
    links = look(own, "/web/w/default/shop").links
    wanted = {
        "Money is never a float": "p/_rules/money.md",
        "On top": "p/top.md",
        "Round once": "p/decisions/rounding.md",
        "notes/": "pages?folder=notes",
        "odd folder/": "pages?folder=odd+folder",
        "in no folder": "pages",
        "Please round the invoices once.": f"s/{FIRST}",
        "Now the refunds, please.": f"s/{OPEN}",
        "Twice": "p/notes/twice-a.md",
    }
    assert {text: links.get(text) for text in wanted} == {
        text: f"/web/w/default/shop/{where}" for text, where in wanted.items()
    }
    assert links["default/atlas"] == "/web/w/default/atlas"
    assert look(own, "/web/w/default/atlas").links["default/shop"] == "/web/w/default/shop"


def test_an_overview_counts_what_somebody_should_look_at(own):
    text = look(own, "/web/w/default/shop").text
    assert "Duplicates: 1" in text
    assert "Stale" not in text


def test_each_day_on_which_something_happened_is_a_bar_and_the_busiest_is_the_highest(own):
    line, bars = look(own, "/web/w/default/shop").elements("path")
    assert line == {"class": "none", "d": "M0 19.5H119"}
    assert re.fullmatch(r"(M\d+ 20v-[\d.]+h3v[\d.]+z)+", bars["d"])
    assert max(float(height) for height in re.findall(r"v-([\d.]+)", bars["d"])) == 18
    assert look(own, "/web/w/default/empty").elements("path") == [line]


def test_records_of_sessions_are_no_knowledge(own):
    text = look(own, "/web/w/default/shop").text
    knowledge = text[text.index("Recent knowledge") : text.index("Latest sessions")]
    assert "decisions/rounding.md" in knowledge
    assert "sessions/" not in knowledge


def test_an_empty_project_says_how_it_begins(own):
    screen = look(own, "/web/w/default/empty")
    assert (screen.status, "Nothing has been recorded in this project yet." in screen.text) == (200, True)
    assert "ai-memory install-hooks" in screen.text


@pytest.mark.parametrize(
    ("screen", "said", "next_step"),
    [
        ("pages", "This project has no page yet.", "ai-memory write-page"),
        ("sessions", "No session has been recorded in this project.", "ai-memory install-hooks"),
        ("handoffs", "No session has left a handoff here yet.", "ai-memory handoff begin"),
        ("packets", "There is no packet here yet.", "ai-memory save"),
    ],
)
def test_an_empty_list_says_how_to_fill_it(own, screen, said, next_step):
    shown = look(own, f"/web/w/default/empty/{screen}")
    assert (shown.status, said in shown.text, next_step in shown.text) == (200, True, True)


@pytest.mark.parametrize(
    "screen", ["", "/pages", "/sessions", "/handoffs", "/packets", "/packet/01JS5LTMEXAMPLEPACKET00001"]
)
def test_an_unknown_project_is_a_page_that_says_so(own, screen):
    shown = look(own, f"/web/w/default/nowhere{screen}")
    assert (shown.status, "There is nothing here" in shown.text) == (404, True)


@pytest.mark.parametrize("screen", ["", "/pages?folder=notes", "/sessions", "/handoffs"])
def test_a_hostile_text_is_a_text(own, screen):
    shown = look(own, f"/web/w/default/shop{screen}")
    assert "alert(1)" in shown.text
    assert "\u202e" not in shown.body
    assert [each["src"] for each in shown.elements("img")] == [
        each["src"] for each in look(own, "/web").elements("img")
    ]
    assert "<script>" not in shown.body


# Folders


def test_a_folder_lists_folders_and_pages_with_a_way_up(own):
    screen = look(own, "/web/w/default/shop/pages")
    folders = [text for text in screen.links if text.endswith("/")]
    assert folders == ["_rules/", "decisions/", "notes/", "odd folder/", "packets/", "sessions/"]
    assert screen.links["On top"] == "/web/w/default/shop/p/top.md"
    inner = look(own, "/web/w/default/shop/pages?folder=odd+folder/100%25")
    assert inner.links["odd folder"] == "/web/w/default/shop/pages?folder=odd+folder"
    assert inner.links["Odd"] == "/web/w/default/shop/p/odd%20folder/100%25/a%23b.md"


def test_a_folder_goes_on_behind_a_hundred_rows(own):
    first, second = (look(own, f"/web/w/default/atlas/pages?folder=many{page}") for page in ("", "&page=2"))
    shown = [[text for text in screen.links if text.startswith("Page ")] for screen in (first, second)]
    assert shown == [[f"Page {n}" for n in range(100)], [f"Page {n}" for n in range(100, 105)]]
    assert "1 of 2" in first.text
    assert first.links["After →"] == "/web/w/default/atlas/pages?folder=many&page=2"
    assert second.links["← Before"] == "/web/w/default/atlas/pages?folder=many"


def test_folders_come_before_pages_on_all_parts_of_a_list(own):
    first, second = (look(own, f"/web/w/default/atlas/pages?folder=folders&page={page}") for page in (1, 2))
    assert [text for text in first.links if text.startswith("f0")] == [f"f{n:03}/" for n in range(100)]
    assert "Last" not in first.links
    assert [text for text in second.links if text.startswith(("f1", "Last"))] == ["f100/", "f101/", "f102/", "Last"]


def test_a_list_that_has_ended_leads_back(own):
    screen = look(own, "/web/w/default/atlas/pages?folder=many&page=9")
    assert (screen.status, screen.links["Its last part"]) == (200, "/web/w/default/atlas/pages?folder=many&page=2")
    past = look(own, "/web/w/default/shop/sessions?offset=5000")
    assert past.links["The newest sessions"] == "/web/w/default/shop/sessions"


def test_pages_are_found_by_a_part_of_their_name_below_a_folder(own):
    screen = look(own, "/web/w/default/shop/pages?name=TWICE")
    assert "2 pages with “ TWICE ” in the name" in screen.text
    assert screen.links["Twice"] == "/web/w/default/shop/p/notes/twice-a.md"
    assert screen.elements("input", id="name")[0]["value"] == "TWICE"
    assert "1 page with" in look(own, "/web/w/default/atlas/pages?folder=folders&name=f042").text
    assert "105 pages with" in look(own, "/web/w/default/atlas/pages?name=Page").text
    assert look(own, "/web/w/default/atlas/pages?name=Page").links["After →"].endswith("/pages?name=Page&page=2")


def test_a_name_that_nothing_has_leads_to_the_search(own):
    screen = look(own, "/web/w/default/shop/pages?name=a%26b")
    assert screen.links["into the texts"] == "/web/search?q=a%26b&workspace=default&project=shop"


def test_a_folder_that_is_not_there_is_a_page_that_says_so(own):
    screen = look(own, "/web/w/default/shop/pages?folder=nowhere")
    assert (screen.status, "has no folder nowhere" in screen.text) == (404, True)


# Sessions and handoffs


def test_sessions_say_who_worked_when_and_whether_they_are_over(own):
    screen = look(own, "/web/w/default/shop/sessions")
    assert "4 sessions, the last to speak first" in screen.text
    newest = screen.text[screen.text.index("Now the refunds") : screen.text.index("A session that was deleted")]
    assert "left open claude-code · just now · 0 s · 4 observations · its page" in newest
    assert screen.links["its page"] == f"/web/w/default/shop/p/sessions/{OPEN}.md"


def test_of_a_session_that_was_deleted_there_is_no_more_than_that(own):
    screen = look(own, "/web/w/default/shop/sessions")
    assert "A session that was deleted claude-code" in screen.text
    assert "Nobody is to know" not in screen.text
    assert str(GONE) not in screen.body


def test_handoffs_are_open_ones_first_each_with_what_became_of_it(own):
    screen = look(own, "/web/w/default/shop/handoffs")
    articles = [each["id"] for each in screen.elements("article")]
    assert {f"handoff-{own.left.id}", f"handoff-{own.dropped.id}"} <= set(articles)
    assert (
        screen.text.index("open For claude-code") < screen.text.index("Before") < screen.text.index("cancelled Never")
    )
    assert screen.links["a session of claude-code"] in {
        f"/web/w/default/shop/s/{each}" for each in (FIRST, SECOND, OPEN)
    }


def test_a_handoff_that_was_taken_names_the_session_that_took_it(own):
    left = own.memory.handoffs.begin(own.atlas, summary="Tiles are cached for a day.")
    works(own.memory, FIRST, "Look at the tiles.", cwd="/srv/atlas", repo_root="/srv/atlas")
    own.memory.sessions.settle(20)
    atlas = own.memory.projects.named("default", "atlas")
    own.memory.handoffs.accept(atlas, handoff_id=left.id, by="codex", session=FIRST)
    screen = look(own, "/web/w/default/atlas/handoffs")
    assert "taken Tiles are cached for a day." in screen.text
    assert "taken by a session of codex just now" in screen.text
    assert screen.links["a session of codex"] == f"/web/w/default/atlas/s/{FIRST}"


# All of them


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/w/default",
        *(f"/w/default/shop{each}" for each in ("", "/pages", "/sessions", "/handoffs", "/packets", "/p/narrative.md")),
        *(f"/{each}" for each in ("timeline", "graph", "search?q=refund", "status")),
    ],
)
def test_who_looks_does_not_wait_for_who_writes(own, path):
    with own.memory.stores.wiki.lock:
        assert look(own, f"/web{path}").status == 200


def test_home_names_the_open_handoffs_of_all_projects_the_newest_first(own):
    left = [own.memory.handoffs.begin(own.atlas, summary=f"Tiles {number}.") for number in range(21)]
    screen = look(own, "/web")
    shown = screen.text[screen.text.index("Open handoffs") :]
    assert shown.index("Tiles 20.") < shown.index("Tiles 1.")
    assert "Tiles 0." not in shown
    for each in left:
        own.memory.handoffs.cancel(own.atlas, each.id)


@pytest.mark.parametrize("path", ["/w/before", "/timeline?workspace=before", "/graph?workspace=NOW", "/w/NOW"])
def test_a_workspace_is_found_by_the_name_that_it_had_and_however_it_is_written(own, path):
    projects, moves = own.memory.projects, own.memory.moves
    if projects.workspace("now") is None:
        projects.create("before", "lab")
        moves.rename_workspace("before", "now")
    assert look(own, f"/web{path}").status == 200
