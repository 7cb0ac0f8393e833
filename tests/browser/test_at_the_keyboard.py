"""What a person does at the keyboard and the mouse: every way through the screens, and what scripts add to them."""

import re
from datetime import UTC, datetime

import pytest

from ai_memory.memory.pages import Fields, Writer

SHOP = "/web/w/default/shop"
PAGE = f"{SHOP}/p/decisions/vat-rounding.md"
#: Every element that takes part, in its order, and how it looked when it had the focus.
WATCHED = """() => {
  const of = 'a[href], button, input:not([type=hidden]), select, summary, [tabindex="0"]';
  const isThere = (each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled;
  const all = [...document.querySelectorAll(of)].filter(isThere);
  const name = (each) => `${all.indexOf(each)} ${each.outerHTML.slice(0, 120)}`;
  window.watched = { wanted: all.map(name), had: [], dim: [] };
  document.addEventListener("focusin", ({ target }) => {
    const look = getComputedStyle(target);
    watched.had.push(name(target));
    const isMarked = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0;
    const box = target.getBoundingClientRect();
    const isSeen = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
    if (!isMarked || !isSeen) watched.dim.push(name(target));
  });
}"""


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.innerText")


def opens_live(desk, path):
    """Open a screen, and wait until it hears of changes."""
    with desk.page.expect_response(lambda answer: "/api/v1/events" in answer.url):
        return desk.opens(path)


@pytest.mark.parametrize(
    "path",
    [
        "/web",
        SHOP,
        f"{SHOP}/pages",
        PAGE,
        f"{SHOP}/p/concepts/rounding.md",
        "session",
        f"{SHOP}/handoffs",
        "packet",
        "/web/search?q=vat",
        "/web/timeline",
        "/web/graph",
        "/web/status",
    ],
)
def test_the_tab_key_reaches_everything_in_order_and_shows_where_it_is(desk, wiki, path):
    story = wiki.story
    paths = {
        "session": f"{SHOP}/s/{story['session']}",
        "packet": "/web/w/{}/{}/packet/{}".format(*story["packets"], story["packet"]),
    }
    page = desk.opens(paths.get(path, path))
    if path == "/web/graph":
        page.locator("canvas[data-settled]").wait_for()
    page.evaluate(WATCHED)
    wanted = page.evaluate("watched.wanted")
    # A field for a day has several stops of its own.
    for _ in range(len(wanted) + 20):
        page.keyboard.press("Tab")
        if page.evaluate("watched.had.length > 1 && watched.had.at(-1) === watched.had[0]"):
            break
    had = page.evaluate("watched.had.filter((each, place, all) => each !== all[place - 1])")
    # What scrolls by itself is reached, too.
    assert [each for each in had[:-1] if each in wanted] == wanted
    assert had[-1] == had[0]
    assert page.evaluate("watched.dim") == []


def test_the_first_key_leads_past_the_frame(desk):
    page = desk.opens(PAGE)
    page.keyboard.press("Tab")
    assert page.get_by_role("link", name="Skip to the content").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert focused(page) == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('main').contains(document.activeElement)")


def test_a_slash_leads_to_the_field_and_is_typed_in_it(desk):
    page = desk.opens(SHOP)
    page.keyboard.press("/")
    assert focused(page) == "find"
    page.keyboard.type("a/b")
    assert page.locator("#find").input_value() == "a/b"
    page.goto(f"{desk.url}/web/search")
    page.keyboard.press("/")
    assert focused(page) == "q"


def test_the_field_of_a_project_searches_in_the_project(desk):
    page = desk.opens(SHOP)
    page.keyboard.press("/")
    page.keyboard.type("ledger")
    page.keyboard.press("Enter")
    page.wait_for_url("**/web/search?workspace=default&project=shop&q=ledger")
    assert page.locator("#results a", has_text="Closing the ledger").count() == 0


def test_what_is_typed_brings_hits_without_a_new_page(desk):
    page = desk.opens("/web/search")
    page.evaluate("window.isTheSame = true")
    page.keyboard.press("/")
    page.keyboard.type("partial refunds")
    first = page.locator("#results .hits a").first
    page.locator("#results .hits a", has_text="Partial refunds round twice").wait_for()
    page.wait_for_url("**/web/search?q=partial+refunds")
    assert re.fullmatch(r"\d+ hits?", page.get_by_role("status").filter(has_text="hit").inner_text())
    assert page.title().startswith("partial refunds")
    page.keyboard.press("ArrowDown")
    assert focused(page) == first.inner_text() == "Partial refunds round twice"
    page.keyboard.press("ArrowDown")
    assert focused(page) == page.locator("#results .hits h2 a").nth(1).inner_text()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert focused(page) == "q"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    assert focused(page) == "q"
    assert page.evaluate("window.isTheSame")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/p/gotchas/refunds.md**")
    page.go_back()
    assert page.locator("#q").input_value() == "partial refunds"


def test_a_second_text_ends_the_search_for_the_first(desk):
    page = desk.opens("/web/search")
    page.route("**/web/search?q=slow", lambda route: None)
    with page.expect_request("**/web/search?q=slow"):
        page.locator("#q").fill("slow")
    with page.expect_event("requestfailed") as failed:
        page.locator("#q").fill("refunds")
    assert failed.value.url.endswith("?q=slow")
    page.locator("#results .hits a", has_text="Partial refunds round twice").wait_for()
    assert page.locator("#results").get_attribute("aria-busy") is None


def test_a_filter_narrows_at_once_and_nothing_found_says_what_to_do(desk):
    page = desk.opens("/web/search?q=rounding")
    page.get_by_label("Kind").select_option("gotcha")
    page.wait_for_url("**kind=gotcha**")
    page.get_by_text("1 hit", exact=True).wait_for()
    page.locator("#q").fill("zzzzqqqq")
    page.get_by_text("take a filter away").wait_for()
    assert page.locator("#told").inner_text() == "Nothing found"


def test_the_colours_that_somebody_chose_stay(desk):
    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page = desk.opens("/web")
    light = ground()
    page.get_by_role("button", name="Show it dark").focus()
    page.keyboard.press("Enter")
    dark = ground()
    page.reload()
    assert (ground(), light != dark) == (dark, True)
    page.get_by_role("button", name="Show it light").click()
    page.reload()
    assert ground() == light
    desk.looks(1440, "dark")
    assert ground() == light


def test_the_slider_shows_the_page_as_it_was(desk):
    page = desk.opens(f"{SHOP}/p/concepts/rounding.md")
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Rounded per line.").wait_for()
    assert page.get_by_text("As it was on").count() == 1
    assert page.get_by_role("slider").get_attribute("aria-valuetext").startswith("1 of 2, ")
    page.get_by_role("link", name="Show it as it is now").click()
    page.get_by_text("Rounded per invoice").wait_for()


def test_a_day_shows_the_page_as_it_was_at_its_end(desk):
    page = desk.opens(f"{SHOP}/p/concepts/rounding.md")
    page.get_by_label("As it was at the end of a day").fill(datetime.now(UTC).date().isoformat())
    page.get_by_label("As it was at the end of a day").press("Enter")
    page.wait_for_url("**?at=**")
    assert page.get_by_text("Rounded per invoice").count() == 1


def test_two_versions_are_compared_side_by_side(desk):
    page = desk.opens(f"{SHOP}/p/concepts/rounding.md")
    page.get_by_role("link", name="Last change").click()
    assert "line." in page.locator("table.diff del").inner_text()
    assert "half even" in page.locator("table.diff ins").inner_text()
    desk.photographs("diff-1440-light")
    assert desk.faults() == []
    desk.looks(375, "dark")
    assert (desk.overflow(), desk.faults()) == (0, [])
    desk.photographs("diff-375-dark")
    page.get_by_label("After").select_option(index=1)
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("The two are the same.").wait_for()


def test_a_button_copies_the_path_and_the_text_to_go_on_with(desk_at, wiki):
    desk = desk_at(wiki.url, permissions=["clipboard-read", "clipboard-write"])
    page = desk.opens(PAGE)
    page.get_by_role("button", name="Copy path").click()
    page.get_by_role("status").filter(has_text="Copied").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == "decisions/vat-rounding.md"
    page = desk.opens("/web/w/{}/{}/packet/{}".format(*wiki.story["packets"], wiki.story["packet"]))
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("status").filter(has_text="Copied").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator(".takeaway").inner_text()


def test_the_calls_of_a_session_are_folded_until_they_are_opened(desk, wiki):
    page = desk.opens(f"{SHOP}/s/{wiki.story['session']}")
    output = page.get_by_text("1 failed")
    assert not output.is_visible()
    page.locator("summary", has_text="pytest -q").focus()
    page.keyboard.press("Enter")
    assert output.is_visible()


def test_the_graph_is_walked_by_the_keyboard(desk):
    page = desk.opens("/web/graph")
    page.locator("canvas[data-settled]").wait_for()

    def drawing():
        return page.evaluate(
            "() => new Promise((told) => requestAnimationFrame(() => requestAnimationFrame(() => "
            "told(document.querySelector('canvas').toDataURL()))))"
        )

    canvas, whole = page.locator("canvas"), drawing()
    canvas.focus()
    seen = {whole}
    for key in ("+", "ArrowLeft", "-", "ArrowDown"):
        page.keyboard.press(key)
        seen.add(drawing())
    assert len(seen) == 5
    page.keyboard.press("0")
    assert drawing() == whole
    page.get_by_role("button", name="Nearer").press("Enter")
    assert drawing() not in seen
    page.get_by_role("button", name="Show all of it").click()
    assert drawing() == whole

    entries = page.locator(".list ol a")
    count = entries.count()
    page.locator(".legend label", has_text="decision").get_by_role("checkbox").uncheck()
    assert entries.count() == count - 1
    assert drawing() != whole
    page.locator(".legend label", has_text="decision").get_by_role("checkbox").check()
    assert drawing() == whole

    page.get_by_label("Find in the drawing").fill("refunds round")
    assert (entries.all_inner_texts(), drawing() != whole) == (["Partial refunds round twice"], True)
    assert page.locator("#fit").inner_text().startswith("1 page of")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "Partial refunds round twice"
    tip = page.locator(".tip")
    assert tip.inner_text().startswith("Partial refunds round twice · gotcha · default/shop · ")
    page.keyboard.press("Enter")
    page.wait_for_url("**/p/gotchas/refunds.md")


def test_the_graph_says_what_is_pointed_at_and_a_click_opens_it(desk):
    page = desk.opens("/web/graph")
    page.locator("canvas[data-settled]").wait_for()
    tip, canvas = page.locator(".tip"), page.locator("canvas").bounding_box()
    page.locator(".list ol a", has_text="VAT is rounded per invoice").focus()
    told = tip.inner_text()
    x, y = page.evaluate(
        "[parseFloat(document.querySelector('.tip').style.left), parseFloat(document.querySelector('.tip').style.top)]"
    )
    page.locator("#seek").focus()
    assert not tip.is_visible()
    # The tip stands below the dot.
    page.mouse.move(canvas["x"] + x, canvas["y"] + y - 12)
    tip.wait_for()
    assert tip.inner_text() == told
    page.mouse.click(canvas["x"] + x, canvas["y"] + y - 12)
    page.wait_for_url("**/p/decisions/vat-rounding.md")


def test_a_change_is_shown_in_place_where_nobody_is_at_it(desk, wiki):
    page = opens_live(desk, "/web/w/default/infra")
    page.evaluate("window.isTheSame = true")
    infra = wiki.memory.projects.named("default", "infra")
    wiki.memory.pages.write(infra, "notes/live.md", "It came while one looked.", Fields(title="Came"), Writer("codex"))
    page.get_by_role("link", name="Came", exact=True).wait_for()
    assert page.evaluate("window.isTheSame")
    assert not page.locator("#changed").is_visible()


def test_a_change_is_told_where_somebody_is_at_it(desk, wiki):
    page = opens_live(desk, "/web/w/default/infra")
    page.locator("main a").first.focus()
    infra = wiki.memory.projects.named("default", "infra")
    wiki.memory.pages.write(infra, "notes/later.md", "And another.", Fields(title="Came later"), Writer("codex"))
    page.get_by_text("Something has changed here").wait_for()
    assert page.get_by_role("link", name="Came later").count() == 0
    page.get_by_role("link", name="Show it").click()
    page.get_by_role("link", name="Came later").wait_for()


def test_on_paper_there_is_no_frame(desk):
    page = desk.opens(PAGE)
    page.emulate_media(media="print")
    for frame in (".top", ".end", ".tabs", ".skip", "button"):
        assert not any(each.is_visible() for each in page.locator(frame).all()), frame
    assert page.get_by_role("heading", name="VAT is rounded per invoice").is_visible()
