"""A page, as it is and as it was; its raw text; and two of its versions side by side."""

import difflib
import re
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.memory.pages import Fields, Writer
from ai_memory.server.web.compare import Line, Row, rows_of
from tests.own_server import served
from tests.server.web.screens import Screen, ask, look, works

ANA = Writer("claude-code", "ana")
HOSTILE = '<script>alert(1)</script>\u202e"><img src=x onerror=alert(1)>'
SHOP = "/web/w/default/shop"
VAT = f"{SHOP}/p/decisions/vat.md"
SESSION = "20aae216-a587-4b26-abcd-b279d1fd7e1e"

FIRST = "# VAT\n\nRounded per line.\n\n## Why\n\nThe law.\n\n## How\n\nSee `total`.\n"
SECOND = FIRST.replace(
    "per line.", "once.\n\nSee [[notes/refunds#what-is-left]], [[nowhere]] and [[other:map|the map]]."
)
THIRD = f"{SECOND}\n### Left\n\n[up](#why) {HOSTILE}\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with served(tmp_path_factory) as own:
        memory = own.memory
        works(memory, SESSION)
        memory.sessions.settle(20)
        own.shop = memory.projects.named("default", "shop")
        other = memory.projects.create("default", "other")
        memory.pages.write(other, "map.md", "# The map\n", Fields(), ANA)

        def writes(path, body, **fields):
            own.clock.later(seconds=3600)
            return memory.pages.write(
                own.shop, path, body, Fields(**fields), ANA, reason="somebody asked for it"
            ).revision

        writes("notes/refunds.md", "# Refunds\n\n## What is left\n\n[[decisions/vat]] and [[other:map]]\n")
        writes("notes/hostile.md", f"# {HOSTILE}\n\n{HOSTILE}\n")
        writes("notes/one.md", "# One\n")
        own.old = writes("notes/gone.md", "# Gone\n\nSoon.\n")
        own.clock.later(seconds=3600)
        own.deleted = memory.pages.delete(own.shop, "notes/gone.md", ANA)
        own.vat = [
            writes("decisions/vat.md", FIRST, tags=["a b&c", "money"], pinned=True),
            writes("decisions/vat.md", SECOND),
        ]
        own.second_at = own.clock()
        own.vat.append(writes("decisions/vat.md", THIRD, expires_at="2099-01-01"))
        yield own


def test_a_page_shows_what_it_says_and_what_is_said_of_it(own):
    screen = look(own, VAT)
    assert screen.status == 200
    for words in (
        "VAT",
        "decision",
        "semantic",
        "pinned",
        "By ana, Claude Code",
        "created",
        "expires in 7",
        "Rounded once",
    ):
        assert words in screen.text
    assert screen.links["# a b&c"] == "/web/search?workspace=default&project=shop&tag=a+b%26c"
    assert screen.links["Raw text"] == f"{SHOP}/raw/decisions/vat.md"
    assert screen.elements("button", **{"data-copy": "decisions/vat.md"})
    assert "expires_at 2099-01-01" in screen.text


def test_links_lead_to_pages_and_headings_and_missing_ones_are_marked(own):
    screen = look(own, VAT)
    assert screen.links["notes/refunds#what-is-left"] == f"{SHOP}/p/notes/refunds.md#h-what-is-left"
    assert screen.links["the map"] == "/web/w/default/other/p/map.md"
    assert screen.links["up"] == "#h-why"
    assert "h-why" in screen.ids
    assert "Links 3 Refunds note nowhere.md no such page The map fact default/other" in screen.text
    assert "Linked from 1 Refunds note" in screen.text


def test_a_page_of_three_headings_has_a_table_of_contents(own):
    assert [look(own, VAT).links[each] for each in ("Why", "How", "Left")] == ["#h-why", "#h-how", "#h-left"]
    assert "On this page" not in look(own, f"{SHOP}/p/notes/refunds.md").text


def test_a_version_is_shown_by_revision_by_time_and_by_number(own):
    asked = [f"revision={own.vat[1]}", f"at={own.second_at:%Y-%m-%dT%H:%M:%S.%fZ}", "version=2"]
    screens = [look(own, f"{VAT}?{each}") for each in asked]
    for screen in screens:
        assert (screen.status, "Rounded once" in screen.text, "Left" in screen.text) == (200, True, False)
        assert screen.links["Show it as it is now"] == VAT
        assert screen.links["What changed in it"] == f"{SHOP}/diff/decisions/vat.md?old={own.vat[0]}&new={own.vat[1]}"
        (slider,) = screen.elements("input", type="range")
        assert (slider["min"], slider["max"], slider["value"]) == ("1", "3", "2")
    assert "As it was on" in screens[0].text
    assert "As it was on" not in look(own, VAT).text


def test_the_last_number_is_the_page_as_it_is(own):
    screen = look(own, f"{VAT}?version=3")
    assert "As it was on" not in screen.text
    assert "Left" in screen.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("revision=abc&at=2026-01-01", 400, id="two-at-once"),
        pytest.param("at=yesterday", 400, id="no-time"),
        pytest.param("revision=zzz", 404, id="no-revision"),
        pytest.param("revision=1234567", 404, id="unknown-revision"),
        pytest.param("at=2001-01-01", 404, id="before-it-was"),
    ],
)
def test_what_cannot_be_shown_is_a_page_that_says_so(own, query, status):
    screen = look(own, f"{VAT}?{query}")
    assert screen.status == status
    assert "alert" in [said.get("role") for _, said in screen.tags]


def test_only_the_page_as_it_is_counts_as_read(own):
    def reads():
        own.memory.upkeep.reads.flush(now=True)
        return own.memory.stores.state.reads.of(own.shop.id)

    before = reads().get("decisions/vat.md")
    look(own, f"{VAT}?version=1")
    ask(own, f"{SHOP}/raw/decisions/vat.md")
    assert reads().get("decisions/vat.md") == before
    look(own, VAT)
    assert reads().get("decisions/vat.md") != before


def test_a_deleted_page_offers_its_last_version(own):
    screen = look(own, f"{SHOP}/p/notes/gone.md")
    assert (screen.status, "was deleted" in screen.text) == (404, True)
    last = screen.links["Show its last version"]
    assert last == f"{SHOP}/p/notes/gone.md?revision={own.old}"
    shown = look(own, last)
    assert (shown.status, "Soon." in shown.text) == (200, True)
    # What the two ways forward from there show is there, too.
    assert look(own, shown.links["Compare with now"]).status == 200


def test_a_record_leads_to_those_that_it_is_connected_with_and_back(own):
    memory = own.memory
    kept = [
        memory.records.store(project, ANA, type_="note", content=content, importance=7)
        for project, content in (("spice", "Saffron is dear."), ("kitchen", "Saffron burns."), ("kitchen", "Use less."))
    ]
    memory.records.connect(kept[0].uuid, kept[1].uuid, "related_to", ANA)
    memory.records.connect(kept[2].uuid, kept[0].uuid, "supersedes", ANA)
    memory.records.delete(kept[1].uuid, ANA)
    addresses = [f"/web/w/default/{each.scope.project.name}/p/notes/records/{each.uuid}.md" for each in kept]
    screen = look(own, addresses[0])
    assert "supersedes this" in screen.text
    assert screen.links["Use less."] == addresses[2]
    assert "Saffron burns." not in screen.text
    other = look(own, addresses[2])
    assert (other.links["Saffron is dear."], "this supersedes" in other.text) == (addresses[0], True)


def test_nothing_about_a_deleted_page_leads_nowhere(own):
    own.memory.pages.write(own.shop, "alone/here.md", "Soon gone.", Fields(), ANA)
    own.memory.pages.delete(own.shop, "alone/here.md", ANA)
    address = f"{SHOP}/p/alone/here.md"
    gone = look(own, address)
    last = look(own, gone.links["Show its last version"])
    links = {each for each in (*gone.links.values(), *last.links.values()) if each.startswith("/")}
    assert {each for each in links if ask(own, each)[0] != 200} <= {address}
    assert address not in last.links.values()
    assert "It is deleted by now." in last.text


@pytest.mark.parametrize("path", ["notes/never.md", "notes/../x.md", "notes//x.md", "%00.md", "notes"])
def test_a_page_that_never_was_is_not_found(own, path):
    assert ask(own, f"{SHOP}/p/{path}")[0] in (404, 422)


@pytest.mark.parametrize("kind", ["p", "raw", "diff"])
def test_a_page_of_an_unknown_project_is_not_found(own, kind):
    assert look(own, f"/web/w/default/nowhere/{kind}/a.md").status == 404


def test_hostile_texts_are_shown_and_do_nothing(own):
    for path in (f"{SHOP}/p/notes/hostile.md", f"{SHOP}/diff/decisions/vat.md"):
        _, headers, body = ask(own, path)
        assert "<script>alert" not in body
        assert "<img src=x" not in body
        assert "\u202e" not in body
        assert "alert(1)" in body
        assert "script-src 'self'" in headers["Content-Security-Policy"]


def test_pages_of_sessions_and_packets_lead_to_these(own):
    assert look(own, f"{SHOP}/p/sessions/{SESSION}.md").links["The session itself"] == f"{SHOP}/s/{SESSION}"
    path = own.memory.sessions.packet_page(own.shop, own.memory.sessions.named(own.shop, SESSION))
    packet = path.removeprefix("packets/").removesuffix(".md")
    # Its text has a heading of the first level of its own.
    screen = Screen(*ask(own, f"{SHOP}/p/{path}")[::2])
    assert screen.links["The packet itself"] == f"{SHOP}/packet/{packet}"


def test_a_page_that_was_edited_outside_says_so(own):
    file = own.memory.projects.folder(own.shop) / "notes/one.md"
    file.write_text("<<<<<<< ours\nOne.\n\n=======\nTwo.\n>>>>>>> theirs\n")
    own.memory.outside.changed([file])
    screen = look(own, f"{SHOP}/p/notes/one.md")
    assert "not committed yet" in screen.text
    assert "conflict markers" in screen.text
    changes = look(own, screen.links["What is not committed"])
    assert "as it is now, not committed yet" in changes.text
    assert "<<<<<<< ours" in changes.text


# The raw text


def test_raw_text_is_exactly_the_file(own):
    status, headers, body = ask(own, f"{SHOP}/raw/decisions/vat.md")
    file = own.memory.projects.folder(own.shop) / "decisions/vat.md"
    assert (status, body) == (200, file.read_text())
    said = [headers[name] for name in ("Content-Type", "X-Content-Type-Options", "Content-Disposition")]
    assert said == ["text/plain; charset=utf-8", "nosniff", "inline; filename*=UTF-8''vat.md"]
    assert headers["Content-Security-Policy"].endswith("sandbox")


def test_raw_text_is_there_of_a_version_too(own):
    _, _, body = ask(own, f"{SHOP}/raw/decisions/vat.md?revision={own.vat[0]}")
    assert body.endswith(FIRST)
    assert ask(own, f"{SHOP}/raw/notes/gone.md")[0] == 404


# Side by side


def test_two_versions_are_compared_word_by_word(own):
    screen = look(own, f"{SHOP}/diff/decisions/vat.md?old={own.vat[0][:8]}&new={own.vat[1]}")
    gone, come = (re.search(rf'<{tag} class="whole">(.*?)</{tag}>', screen.body)[1] for tag in ("del", "ins"))
    assert (gone, come) == ("Rounded <mark>per line</mark>.", "Rounded <mark>once</mark>.")
    assert "without a change" in screen.text
    assert [said["value"] for said in screen.elements("option", selected=None)] == [own.vat[0], own.vat[1]]


def test_without_a_choice_the_last_change_is_shown(own):
    screen = look(own, f"{SHOP}/diff/decisions/vat.md")
    assert [said["value"] for said in screen.elements("option", selected=None)] == own.vat[1:]
    assert "### Left" in screen.text


def test_a_deletion_is_compared_with_what_was_there(own):
    screen = look(own, f"{SHOP}/diff/notes/gone.md?new={own.deleted}")
    lines = len(ask(own, f"{SHOP}/raw/notes/gone.md?revision={own.old}")[2].splitlines())
    assert (screen.body.count("<del "), screen.body.count("<ins ")) == (lines, 0)
    assert (screen.status, "Soon." in screen.text, "deleted" in screen.text) == (200, True, True)
    back = look(own, f"{SHOP}/diff/notes/gone.md?old={own.deleted}&new={own.old}")
    assert (back.body.count("<del "), back.body.count("<ins ")) == (0, lines)


@pytest.mark.parametrize(("query", "words"), [("", "only one version"), ("?old={0}&new={0}", "the same")])
def test_nothing_to_compare_is_said(own, query, words):
    (version,) = own.memory.pages.history(own.shop, "notes/refunds.md")
    assert words in look(own, f"{SHOP}/diff/notes/refunds.md{query.format(version.revision)}").text


def test_a_large_change_is_bounded(own):
    def lines(word):
        return "".join(f"{word} {n} {'x' * (3000 if n == 1 else 1)}\n" for n in range(1500))

    for word in ("old", "new"):
        own.memory.pages.write(own.shop, "large.md", lines(word), Fields(), ANA)
    screen = look(own, f"{SHOP}/diff/large.md")
    assert screen.status == 200
    assert "these are the first 1,000 rows" in screen.text
    assert "x" * 2001 not in screen.body
    assert len(screen.body) < 500_000


def test_every_link_of_these_screens_leads_somewhere(own):
    for start in (VAT, f"{VAT}?version=1", f"{SHOP}/diff/decisions/vat.md"):
        for address in set(look(own, start).links.values()):
            there = urljoin(start, address).partition("#")[0]
            if re.match(rf"{SHOP}/(p|raw|diff)/", there):
                assert ask(own, there)[0] == 200, there


LINES = st.lists(
    st.sampled_from(["", "a", "a b", "- x", "+ y", "@@ -1 +1 @@", "--- a", "\u2028", "Ü <b>"]), max_size=12
)


@given(LINES, LINES)
def test_rows_hold_both_sides_line_by_line(old, new):
    diff = "\n".join(difflib.unified_diff(old, new, "old", "new", lineterm="", n=1))
    rows = list(rows_of(f"{diff}\n" if diff else ""))
    for side, lines in (("old", old), ("new", new)):
        shown = [line for row in rows if (line := getattr(row, side))]
        assert all("".join(text for text, _ in line.pieces) == lines[line.number - 1] for line in shown)
        assert [line.number for line in shown] == sorted({line.number for line in shown})
    differing = [row for row in rows if row.differs]
    assert bool(differing) == (old != new)
    skipped = sum(row.gap for row in rows)
    assert skipped + sum(row.new is not None for row in rows) <= len(new)


def test_rows_of_a_diff_are_what_git_says():
    diff = (
        "--- a\n+++ b\n@@ -3,2 +3,2 @@ heading\n same\r\n-one two three\n\\ No newline at end of file\n+one 2 three\n"
    )
    assert list(rows_of(diff)) == [
        Row(gap=2),
        Row(Line(3, (("same", False),)), Line(3, (("same", False),))),
        Row(
            Line(4, [("one ", False), ("two", True), (" three", False)]),
            Line(4, [("one ", False), ("2", True), (" three", False)]),
            differs=True,
        ),
    ]
