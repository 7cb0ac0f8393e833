"""Every screen as a person sees it: what it shows, wide and narrow, light and dark, for everybody, from here alone."""

import pytest

from tests.browser.conftest import LOOKS


def shop(story):
    return "/web/w/default/shop"


#: Name -> path (of the story), and words that are seen there.
SCREENS = {
    "home": (lambda s: "/web", ["What your agents know", "shop", "infra", "2 open handoffs"]),
    "workspace": (lambda s: "/web/w/default", ["default", "shop", "infra"]),
    "project": (shop, ["shop", "VAT is done, refunds are next.", "VAT is rounded per invoice"]),
    "folder": (lambda s: f"{shop(s)}/pages", ["decisions", "gotchas", "notes"]),
    "folder-below": (lambda s: f"{shop(s)}/pages?folder=notes", ["請求書のメモ", "ملاحظة عن الفواتير"]),
    "page": (
        lambda s: f"{shop(s)}/p/decisions/vat-rounding.md",
        ["VAT is rounded per invoice", "off by a cent", "half even", "Found by a customer in Graz."],
    ),
    "page-with-past": (lambda s: f"{shop(s)}/p/concepts/rounding.md", ["Rounded per invoice", "Ana"]),
    "page-right-to-left": (lambda s: f"{shop(s)}/p/notes/العربية.md", ["ملاحظة عن الفواتير"]),
    "sessions": (lambda s: f"{shop(s)}/sessions", ["Invoice totals are off by a cent"]),
    "session": (
        lambda s: f"{shop(s)}/s/{s['session']}",
        ["Invoice totals are off by a cent", "pytest -q", "refunds are still open"],
    ),
    "handoffs": (lambda s: f"{shop(s)}/handoffs", ["VAT is done, refunds are next.", "Half even or half up?"]),
    "packets": (lambda s: "/web/w/{}/{}/packets".format(*s["packets"]), ["Round refunds as invoices are"]),
    "packet": (
        lambda s: "/web/w/{}/{}/packet/{}".format(*s["packets"], s["packet"]),
        ["Round refunds as invoices are", "Round invoices as the tax office does", "A cent is lost"],
    ),
    "search": (lambda s: "/web/search?q=rounding", ["VAT is rounded per invoice"]),
    "timeline": (lambda s: "/web/timeline", ["Invoice totals are off by a cent"]),
    "graph": (lambda s: "/web/graph", ["VAT is rounded per invoice"]),
    "status": (lambda s: "/web/status", ["Status"]),
    "nothing-found": (lambda s: "/web/search?q=zzzzqqqq", ["zzzzqqqq"]),
}


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_whole_wherever_it_is_looked_at(desk, wiki, name):
    path, words = SCREENS[name]
    page = desk.opens(path(wiki.story))
    if name == "graph":
        page.locator("canvas[data-settled]").wait_for()
    seen = page.locator("body").inner_text()
    assert [each for each in words if each not in seen] == []
    assert page.locator("h1").count() == 1
    for place, (size, width, scheme) in enumerate(LOOKS):
        desk.looks(width, scheme)
        assert desk.overflow() <= 0, (size, scheme)
        # The colours of light and dark do not depend on the width.
        if place < 2:
            assert desk.faults() == [], (size, scheme)
        desk.photographs(f"{name}-{width}-{scheme}")
