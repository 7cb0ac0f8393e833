"""All screens with nothing, with one page, and with 10,000; and with scripts switched off."""

import re

import pytest

from ai_memory.memory.pages import Fields, Writer
from tests.own_server import served

SCREENS = [
    "",
    "/w/default",
    *(f"/w/default/shop{each}" for each in ("", "/pages", "/sessions", "/handoffs", "/packets")),
]
SCREENS += ["/search", "/search?q=word", "/timeline", "/graph", "/status"]
OF_SHOP = "?workspace=default&project=shop"
MANY = 10_000
KINDS = ("decisions", "gotchas", "concepts", "procedures", "notes")


def look(desk, screens, *, empty=()):
    """Look at screens, narrow and wide, and give what is wrong: too wide, no heading, no word on what to do next."""
    wrong = []
    for path in screens:
        page = desk.opens(f"/web{path}")
        if path == "/graph" and page.locator("canvas").count():
            page.locator("canvas[data-settled]").wait_for(timeout=30_000)
        wrong += [(path, "h1")] * (page.locator("h1").count() != 1)
        wrong += [(path, "empty")] * (path in empty and not page.locator(".empty p + *").count())
        for width in (375, 1440):
            desk.looks(width, "light")
            wrong += [(path, width)] * (desk.overflow() > 0)
    return wrong


def test_with_nothing_every_screen_says_what_to_do_next(desk_at, tmp_path_factory):
    with served(tmp_path_factory) as own:
        desk = desk_at(own.url)
        nothing = ["", "/search", "/search?q=word", "/timeline", "/graph"]
        assert look(desk, [*nothing, "/status"], empty=nothing) == []
        desk.opens("/web")
        desk.photographs("nothing-1440-light")
        assert desk.faults() == []
        own.memory.projects.create("default", "shop")
        empty = [each for each in SCREENS if "/shop" in each]
        assert look(desk, [*SCREENS, f"/timeline{OF_SHOP}"], empty=empty) == []
        desk.opens("/web/w/default/shop")
        desk.photographs("project-with-nothing-1440-light")
        assert desk.faults() == []
        shop = own.memory.projects.named("default", "shop")
        own.memory.pages.write(shop, "notes/first.md", "One word.", Fields(title="The first"), Writer("codex"))
        assert look(desk, [*SCREENS, "/w/default/shop/p/notes/first.md", f"/graph{OF_SHOP}"]) == []
        for path in ("", "/w/default/shop/pages?folder=notes", "/search?q=word", "/timeline", "/graph"):
            assert desk.opens(f"/web{path}").get_by_text("The first").count() >= (path != ""), path


@pytest.fixture
def large(tmp_path_factory, monkeypatch):
    # Nothing here has to outlive a power cut.
    monkeypatch.setattr("os.fsync", lambda _: None)
    with served(tmp_path_factory) as own:
        shop = own.memory.projects.create("default", "shop")
        for start in range(0, MANY, 1_000):
            texts = dict(written(n) for n in range(start, start + 1_000))
            own.memory.pages.write_several(shop, texts, Writer("codex"), subject="many pages")
        yield own


def written(n):
    to = n * 7 % MANY
    text = f"---\ntags: [t{n % 50}]\n---\n# Page {n}\n\nWord {n}. [[{KINDS[to % 5]}/page-{to:05}]]\n"
    return f"{KINDS[n % 5]}/page-{n:05}.md", text


def test_with_10000_pages_no_screen_is_endless_and_all_is_reached(large, desk_at):
    desk = desk_at(large.url)
    assert look(desk, SCREENS) == []
    for path in ("/w/default/shop", "/w/default/shop/pages?folder=notes", "/search?q=word", "/timeline"):
        page = desk.opens(f"/web{path}")
        assert 1 < page.locator("main a").count() < 400, path
    check_folder(desk)
    check_timeline(desk)
    page = desk.opens("/web/graph")
    page.locator("canvas[data-settled]").wait_for(timeout=30_000)
    assert re.search(r"[\d,]+ pages that matter least are left out", page.locator("main").inner_text())
    assert page.locator(".list ol a").count() <= 200


def check_folder(desk):
    page = desk.opens("/web/w/default/shop/pages?folder=notes")
    names = page.locator(".rows li > a").all_inner_texts()
    page.get_by_role("link", name="After").click()
    page.wait_for_url("**page=2**")
    after = page.locator(".rows li > a").all_inner_texts()
    assert (len(names), len(set(names) & set(after))) == (len(after), 0)
    page.get_by_label("Part of a title or path").fill("page-04324")
    page.keyboard.press("Enter")
    page.get_by_text("1 page with").wait_for()


def check_timeline(desk):
    """More is put below what is there, and who loads it goes on with the first of what came."""
    page = desk.opens("/web/timeline")
    cards = page.locator(".happened")
    first = cards.count()
    page.evaluate("window.isTheSame = true")
    page.get_by_role("link", name="Load more").press("Enter")
    page.wait_for_function("count => document.querySelectorAll('.happened').length > count", arg=first)
    assert (cards.count(), page.evaluate("window.isTheSame")) == (2 * first, True)
    titles = cards.locator("h3").all_inner_texts()
    assert len(set(titles)) == len(titles)
    assert page.evaluate("document.activeElement.innerText") == titles[first]
    page.locator("#more").evaluate("link => location.assign(link.href)")
    page.get_by_role("link", name="Back to the newest").wait_for()


def test_without_scripts_every_screen_works(wiki, desk_at):
    desk = desk_at(wiki.url, java_script_enabled=False)
    page = desk.opens("/web")
    page.get_by_role("link", name="shop", exact=True).first.click()
    page.get_by_role("searchbox").fill("partial refunds")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?workspace=default&project=shop&q=partial+refunds")
    page.get_by_role("link", name="Partial refunds round twice").click()
    page.wait_for_url("**/p/gotchas/refunds.md**")
    page = desk.opens("/web/w/default/shop/p/concepts/rounding.md")
    page.get_by_role("slider").fill("1")
    page.get_by_role("button", name="Show").first.click()
    page.wait_for_url("**version=1**")
    assert page.get_by_text("Rounded per line.").count() == 1
    page.get_by_role("link", name="Compare with now").click()
    assert page.locator("table.diff ins").count() == 1
    page = desk.opens(f"/web/w/default/shop/s/{wiki.story['session']}")
    page.locator("summary", has_text="pytest -q").click()
    assert page.get_by_text("1 failed").is_visible()
    # What only a script could do is not offered.
    page = desk.opens("/web/graph")
    assert (page.locator("canvas").is_visible(), page.locator(".list ol a").count() > 5) == (False, True)
    assert not page.get_by_role("button", name="Dark or light").is_visible()
    page.get_by_label("Project").select_option("infra")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**project=infra**")
