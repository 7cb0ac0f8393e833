"""A session as a conversation, and the timeline of all that happened."""

import json
import re
import uuid

import pytest

from ai_memory.memory.intake import Delivery
from ai_memory.memory.pages import Fields, Writer
from ai_memory.server.web.markdown import apart
from tests.own_server import served
from tests.server.web.screens import ask, look, works

HOSTILE = '<script>alert(1)</script>\u202e"><img src=x onerror=alert(1)>'
SHOP = "/web/w/default/shop"
TALK, LONG, GONE, TWO = (str(uuid.UUID(int=n + (4 << 76) + (2 << 62))) for n in range(1, 5))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    with served(tmp_path_factory) as own:
        yield own


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with served(tmp_path_factory) as own:
        memory = own.memory

        def says(session, event, repo="shop", **body):
            own.clock.later(seconds=1)
            place = {"agent": "claude-code", "cwd": f"/srv/{repo}", "repo_root": f"/srv/{repo}"}
            query = {**place, "event": event, "ingest_key": uuid.uuid4().hex}
            memory.intake.record([Delivery(query, json.dumps({"session_id": session, **body}).encode())])

        def runs(session, command, said, **more):
            response = {"stdout": said, **more}
            says(session, "post-tool-use", tool_name="Bash", tool_input={"command": command}, tool_response=response)

        works(memory, GONE, "Nobody is to know of this.")
        works(memory, LONG, "A long one, please.", end=False)
        for n in range(220):
            runs(LONG, f"step {n}", "done")
        own.clock.later(days=2)
        says(TALK, "session-start", source="startup")
        says(TALK, "user-prompt", prompt=f"Why is the total wrong?\n{HOSTILE}")
        says(TALK, "pre-tool-use", tool_name="Bash", tool_input={"command": "make test"})
        runs(TALK, "make test", f"1 failed {HOSTILE}", is_error=True, exit_code=1)
        says(TALK, "post-tool-use", tool_name="Edit", tool_input={"file_path": "/srv/shop/cart.py"})
        says(TALK, "pre-tool-use", tool_name="Agent", tool_input={"prompt": "look"})
        says(TALK, "notification", message="It needs your permission")
        says(TALK, "pre-compact", trigger="auto")
        says(TALK, "stop", last_assistant_message=f"## Why\n\nRounded *twice*, see [[notes/vat#how]].\n\n{HOSTILE}")
        says(TALK, "user-prompt", prompt="And now?")
        says(TALK, "stop", last_assistant_message="## Why\n\nOnce. [up](#why)")
        says(TALK, "session-end", reason="exit")
        memory.sessions.settle(20)
        works(memory, TWO, "Here and there.", end=False)
        says(TWO, "user-prompt", "atlas", prompt="And there.")
        memory.sessions.settle(20)
        own.shop = memory.projects.named("default", "shop")
        memory.pages.delete(own.shop, f"sessions/{GONE}.md", Writer("codex"))
        own.clock.later(days=1)

        def writes(path, body, **fields):
            own.clock.later(seconds=60)
            return memory.pages.write(own.shop, path, body, Fields(**fields), Writer("codex", "ana")).revision

        writes(
            "notes/vat.md", f"# VAT {HOSTILE}\n\n## How\n\n**Once**, see [[decisions/round|the decision]].\n\nLaw.\n"
        )
        own.changed = writes(
            "notes/vat.md", "# VAT\n\n## How\n\n**Once**, see [[decisions/round|the decision]].\n\nLaw.\n"
        )
        writes("decisions/round.md", "# Round once\n\nBecause.\n")
        writes("notes/gone.md", "# Gone\n\nSoon.\n")
        own.clock.later(seconds=60)
        own.deleted = memory.pages.delete(own.shop, "notes/gone.md", Writer("codex"))
        yield own


# Sessions


def test_a_session_is_a_conversation(own):
    screen = look(own, f"{SHOP}/s/{TALK}")
    assert screen.status == 200
    order = [
        "Session opened (startup)",
        "User",
        "Why is the total wrong?",
        "✗ failed Bash make test",
        "Edit cart.py",
    ]
    order += [
        "is about to use Agent",
        "Notification",
        "about to be compacted",
        "Claude Code",
        "Rounded twice",
        "And now?",
        "Once.",
    ]
    text = screen.text[screen.text.index("What was said and done") :]
    places = [text.index(each) for each in [*order, "Session over (exit)"]]
    assert places == sorted(places)
    # The call says the same as what came before it.
    assert text.count("make test") == 2


def test_a_session_says_what_it_was_and_leads_to_what_came_of_it(own):
    screen = look(own, f"{SHOP}/s/{TALK}")
    assert all(
        words in screen.text for words in ("2 prompts, 2 tool calls, 12 observations", "/srv/shop", TALK, "over")
    )
    assert screen.links["Its page"] == f"{SHOP}/p/sessions/{TALK}.md"
    (left,) = own.memory.stores.state.left_by(uuid.UUID(TALK), own.shop.id)
    assert screen.links["a handoff"] == f"{SHOP}/handoffs#handoff-{left.id}"
    packet = own.memory.sessions.packet_page(own.shop, own.memory.sessions.named(own.shop, TALK))
    assert screen.links["Its packet"] == f"{SHOP}/packet/{packet.removeprefix('packets/').removesuffix('.md')}"
    for name in ("Its page", "Its packet", "a handoff"):
        assert ask(own, screen.links[name].partition("#")[0])[0] == 200


def test_answers_are_laid_out_and_their_headings_do_not_collide(own):
    screen = look(own, f"{SHOP}/s/{TALK}")
    assert {"o9-h-why", "o11-h-why"} <= set(screen.ids)
    assert screen.links["up"] == "#o11-h-why"
    assert screen.links["notes/vat#how"] == f"{SHOP}/p/notes/vat.md#h-how"


def test_what_a_session_said_does_nothing(own):
    _, _, body = ask(own, f"{SHOP}/s/{TALK}")
    assert body.count("&lt;script&gt;alert(1)") == 3
    assert not re.search("<script>alert|<img src=x|\u202e", body)


def test_a_long_session_comes_in_parts(own):
    first = look(own, f"{SHOP}/s/{LONG}")
    second = look(own, first.links["After →"])
    last = look(own, second.links["After →"])
    assert ["1 to 100 of 224" in first.text, "101 to 200" in second.text, "201 to 224" in last.text] == [True] * 3
    assert ("← Before" in first.links, "After →" in last.links) == (False, False)
    assert look(own, last.links["← Before"]).text == second.text
    assert "201 to 224" in look(own, f"{SHOP}/s/{LONG}?offset=99999").text


def test_the_other_parts_of_a_session_are_named(own):
    here, there = look(own, f"{SHOP}/s/{TWO}"), f"/web/w/default/atlas/s/{TWO}"
    assert here.links["default/atlas"] == there
    assert look(own, there).links["default/shop"] == f"{SHOP}/s/{TWO}"


@pytest.mark.parametrize("session", [GONE, str(uuid.UUID(int=9)), "no-such"], ids=["deleted", "unknown", "no id"])
def test_a_session_that_is_not_there_is_not_found(own, session):
    assert look(own, f"{SHOP}/s/{session}").status == 404


def test_a_session_leads_to_none_that_was_deleted(tmp_path_factory):
    with served(tmp_path_factory) as own:
        memory, there = own.memory, {"cwd": "/srv/atlas", "repo_root": "/srv/atlas"}
        works(memory, GONE)
        memory.sessions.settle(20)
        (shop,) = memory.projects.all()
        works(memory, TWO, end=False)
        works(memory, TWO, end=False, **there)
        memory.sessions.settle(20)
        (left,) = memory.browsing.handoffs([shop], states=["open"], limit=9)[-1:]
        memory.handoffs.accept(shop, handoff_id=left.id, by="codex", session=uuid.UUID(TWO))
        links = look(own, f"{SHOP}/s/{TWO}").links
        wanted = {"this session": f"{SHOP}/s/{GONE}", "default/atlas": f"/web/w/default/atlas/s/{TWO}"}
        assert {name: links.get(name) for name in wanted} == wanted
        memory.pages.delete(shop, f"sessions/{GONE}.md", Writer("codex"))
        memory.pages.delete(memory.projects.named("default", "atlas"), f"sessions/{TWO}.md", Writer("codex"))
        screen = look(own, f"{SHOP}/s/{TWO}")
        assert not wanted.keys() & screen.links.keys()
        assert "a handoff from claude-code, left" in screen.text
        assert "Also in default/atlas" in screen.text


def test_a_session_whose_log_is_gone_leads_to_its_page(tmp_path_factory):
    with served(tmp_path_factory) as own:
        works(own.memory, TALK)
        own.memory.sessions.settle(20)
        (shop,) = own.memory.projects.all()
        own.memory.stores.rawlog.remove(shop.workspace_id, shop.id, uuid.UUID(TALK))
        screen = look(own, f"{SHOP}/s/{TALK}")
        assert (screen.status, "its time was over" in screen.text) == (200, True)
        assert screen.links["Show its page"] == f"{SHOP}/p/sessions/{TALK}.md"


def test_ids_are_kept_apart_in_tags_alone():
    html = '<h2 id="h-a">A</h2><p><a href="#fn1" id="fn1-0" aria-label="x">1</a> id="y" <a href="/p#h-a">p</a></p>'
    assert apart(html, "o1") == html.replace('id="h-a"', 'id="o1-h-a"').replace(
        '"#fn1" id="fn1-0"', '"#o1-fn1" id="o1-fn1-0"'
    )


# The timeline


def test_the_timeline_tells_what_happened_day_by_day(own):
    screen = look(own, "/web/timeline")
    order = ["deleted", "Round once", "VAT", "Here and there", "Why is the total wrong?", "A long one"]
    text = screen.text[screen.text.index("Timeline Choose") :]
    places = [text.index(each) for each in order]
    assert (screen.status, places) == (200, sorted(places))
    days = [said["data-day"] for said in screen.elements("section", **{"class": "day"})]
    assert (len(days), days) == (3, sorted(days, reverse=True))
    assert "Nobody is to know" not in screen.text


def test_an_entry_says_what_it_is(own):
    screen = look(own, "/web/timeline")
    card = screen.text[screen.text.index(own.changed[:8]) :].partition("what changed")[0]
    assert card.endswith("VAT Once, see the decision. Law. notes/vat.md · write-page , by ana, Codex · ")
    assert "3 links" not in screen.text
    assert screen.links["Round once"] == f"{SHOP}/p/decisions/round.md"
    # What the page says now was not what its first version said.
    assert screen.text.count("Once, see the decision.") == 1
    assert not re.search("<script>alert|<img src=x|\u202e", screen.body)


def test_every_entry_leads_somewhere(own):
    screen = look(own, "/web/timeline")
    addresses = set(re.findall(rf'href="({SHOP}/(?:p|s|diff)/[^"]*)"', screen.body))
    assert f"{SHOP}/diff/notes/gone.md?new={own.deleted}" in addresses
    assert {address: ask(own, address)[0] for address in addresses} == dict.fromkeys(addresses, 200)


def test_the_timeline_is_narrowed_by_kind_and_project(own):
    sessions = look(own, "/web/timeline?kind=session&workspace=default&project=atlas")
    assert [said["value"] for said in sessions.elements("input", name="kind", checked=None)] == ["session"]
    assert sessions.body.count('class="panel happened"') == 1
    both = look(own, "/web/timeline?kind=decision&kind=rule")
    assert both.body.count('class="panel happened"') == 1
    nothing = look(own, "/web/timeline?kind=rule")
    assert nothing.links["see everything"] == "/web/timeline"
    assert look(own, "/web/timeline?workspace=default&project=nowhere").status == 404


def test_more_goes_on_where_the_screen_ended(own):
    for n in range(35):
        own.memory.pages.write(own.shop, f"many/n{n:02}.md", f"# Number {n}\n", Fields(kind="fact"), Writer("codex"))
    seen, address = [], "/web/timeline?kind=fact&project=shop"
    while address:
        screen = look(own, address)
        seen += re.findall(r"<bdi>(Number \d+)</bdi>", screen.body)
        address = screen.links.get("Load more", "")
        assert not address or "project=shop&kind=fact&before=" in address
    assert seen == [f"Number {n}" for n in reversed(range(35))]
    assert screen.links["Back to the newest"] == "/web/timeline?project=shop&kind=fact"


def test_a_place_that_is_none_is_refused(own):
    assert look(own, "/web/timeline?before=never").status == 400


def test_an_empty_timeline_says_what_to_do(empty):
    screen = look(empty, "/web/timeline")
    assert (screen.status, "ai-memory install-hooks" in screen.text) == (200, True)
