import json
import uuid
from urllib.parse import quote

import pytest

from ai_memory.compile.packet import draft_id
from ai_memory.errors import AiMemoryError
from ai_memory.memory.packets import OWNER, Push
from ai_memory.model.packet_text import resume_block
from tests.own_server import served
from tests.server.web.screens import ask, look, works

SESSION, STAYS = (uuid.UUID(int=n + (4 << 76) + (2 << 62)) for n in (1, 2))
HOSTILE = "</pre><script>alert(1)</script>"
ODD = "2026/a b#c?d%2F"


def id_of(number):
    return f"01JS5LTMEXAMPLEPACKET{number:05}"


def body(number, packet_id="", **more):
    made = {
        "ltm_version": "0.2",
        "id": packet_id or id_of(number),
        "created_at": f"2026-11-20T10:00:{number % 60:02}Z",
        "goal": f"goal {number}",
        "next_step": "go on",
        "project": {"name": "shop"},
    }
    return json.dumps({**made, **more}).encode()


FULL = {
    "goal": f"Make refunds right {HOSTILE}",
    "next_step": "Run the tests",
    "parent_id": id_of(1),
    "success_criteria": ["no cent is lost"],
    "constraints": ["no float"],
    "decisions": [{"what": "Round once", "why": "cents", "consequences": "refunds wait", "locked": True}],
    "attempts": [{"tried": "Round each line", "outcome": "failed", "learned": "off by one", "confidence": "high"}],
    "methods": [{"name": "reproduce", "when_applicable": "it is off", "how": "ticket 812"}],
    "open_questions": ["May it exceed?"],
    "tags": ["money"],
    "provenance": {"author_human": "Ana", "author_model": "m-1"},
}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with served(tmp_path_factory) as own:
        memory = own.memory
        works(memory, SESSION, "Please round the invoices once.")
        works(memory, STAYS, "Read /etc/shop/rates and round with it.")
        memory.sessions.settle(20)
        own.shop = memory.projects.named("default", "shop")
        own.many = memory.projects.create("default", "many")
        memory.teams.create("ana", "red")
        memory.teams.create(OWNER, "blue")
        pushes = [
            Push(OWNER, body(1)),
            Push(OWNER, body(2, **FULL)),
            Push(OWNER, body(3, parent_id=id_of(2))),
            Push(OWNER, body(4, packet_id=ODD, goal="odd id")),
            Push(OWNER, body(5, parent_id="01JS5LTMEXAMPLEPACKETGONE1")),
            Push("ana", body(6, goal="of ana alone")),
            Push("ana", body(7, goal="of ana's team", parent_id=id_of(2)), "red"),
            Push(OWNER, body(8, goal="of our team"), "blue"),
            *(Push(OWNER, body(100 + n, project={"name": "many"})) for n in range(52)),
        ]
        assert not [each for each in memory.packets.push(pushes) if isinstance(each, AiMemoryError)]
        memory.packets.settle()
        own.left = memory.handoffs.begin(own.shop, summary="Go on.", packet_id=id_of(2))
        own.homes = {each.goal: project for project in memory.projects.all() for each in rows(memory, project)}
        yield own


def rows(memory, project):
    return memory.stores.packets.of_project(project.id, 100, 0)[0]


def see(own, packet_id, project="shop"):
    return look(own, f"/web/w/default/{project}/packet/{quote(packet_id, safe='')}")


def test_packets_are_listed_with_drafts_the_newest_first(own):
    screen = look(own, "/web/w/default/shop/packets")
    assert "7 packets, the newest first" in screen.text
    order = [
        screen.text.index(each) for each in ("Please round the invoices once. draft", "goal 5", "goal 3", "goal 1")
    ]
    assert order == sorted(order)
    assert screen.links["goal 3"] == f"/web/w/default/shop/packet/{id_of(3)}"


def test_a_list_of_packets_goes_on_behind_fifty(own):
    first, second = (look(own, f"/web/w/default/many/packets?page={page}") for page in (1, 2))
    assert [len([text for text in screen.links if text.startswith("goal ")]) for screen in (first, second)] == [50, 2]
    assert first.links["After →"] == "/web/w/default/many/packets?page=2"
    assert second.links["← Before"] == "/web/w/default/many/packets"
    assert look(own, "/web/w/default/many/packets?page=9").links["Its last part"] == first.links["After →"]


def test_a_packet_shows_the_text_to_resume_from_and_all_it_says(own):
    screen = see(own, id_of(2))
    block = resume_block(own.memory.packets.get(OWNER, id_of(2)).packet)
    assert " ".join(block.split()) in screen.text
    assert screen.elements("pre", id="block")[0]["tabindex"] == "0"
    assert screen.elements("button", **{"data-copy-from": "block"}) == [
        {"type": "button", "data-copy-from": "block", "hidden": None}
    ]
    said = screen.text[screen.text.index("What it says") :]
    for part in (
        "Next step Run the tests",
        "Success criteria no cent is lost",
        "Constraints no float",
        "Decisions locked Round once cents then: refunds wait",
        "Attempts ✗ failed Round each line learned: off by one confidence: high",
        "Methods reproduce when: it is off how: ticket 812",
        "Open questions May it exceed?",
        "By Ana via m-1",
    ):
        assert part in said
    assert "<script>" not in screen.body


def test_a_packet_leads_to_its_chain_its_handoff_and_its_page(own):
    links = see(own, id_of(2)).links
    assert links["goal 1"] == f"/web/w/default/shop/packet/{id_of(1)}"
    assert links["goal 3"] == f"/web/w/default/shop/packet/{id_of(3)}"
    assert links["from somebody"] == f"/web/w/default/shop/handoffs#handoff-{own.left.id}"
    assert links[f"packets/{id_of(2)}.md"] == f"/web/w/default/shop/p/packets/{id_of(2)}.md"
    assert links["# money"] == "/web/search?tag=money&workspace=default&project=shop"


def test_handoffs_lead_to_the_packet_that_they_carry(own):
    assert look(own, "/web/w/default/shop/handoffs").links["its packet"].startswith("/web/w/default/shop/packet/")
    assert f"/web/w/default/shop/packet/{id_of(2)}" in look(own, "/web/w/default/shop/handoffs").body


def test_a_packet_whose_parent_is_not_here_says_so(own):
    assert "01JS5LTMEXAMPLEPACKETGONE1 , which is not here" in see(own, id_of(5)).text


def test_a_draft_leads_to_the_session_that_left_it(own):
    started = own.memory.sessions.known(own.shop, str(SESSION)).started
    screen = see(own, draft_id(SESSION, started))
    assert "draft · made" in screen.text
    assert screen.links["the one that left it"] == f"/web/w/default/shop/s/{SESSION}"


def test_a_draft_that_may_not_travel_says_what_is_in_the_way(own):
    started = own.memory.sessions.known(own.shop, str(STAYS)).started
    text = see(own, draft_id(STAYS, started)).text
    assert "It stays here" in text
    assert "goal/abs-path: /etc/shop/rates" in text


def test_a_packet_of_any_id_has_an_address(own):
    screen = see(own, ODD)
    assert (screen.status, "odd id" in screen.text) == (200, True)
    assert (
        look(own, "/web/w/default/shop/packets").links["odd id"] == f"/web/w/default/shop/packet/{quote(ODD, safe='')}"
    )


@pytest.mark.parametrize("goal", ["of ana alone", "of ana's team"])
def test_what_is_somebody_elses_is_neither_listed_nor_shown(own, goal):
    home = own.homes[goal]
    at = f"/web/w/{quote(home.workspace)}/{quote(home.name)}"
    (row,) = rows(own.memory, home)
    assert "There is no packet here yet." in look(own, f"{at}/packets").text
    shown = look(own, f"{at}/packet/{row.id}")
    assert (shown.status, "of ana" in shown.text) == (404, False)


def test_the_packets_of_a_team_are_shown_to_its_members(own):
    home = own.homes["of our team"]
    screen = look(own, f"/web/w/{quote(home.workspace)}/{quote(home.name)}/packet/{id_of(8)}")
    assert (screen.status, "saved of team blue" in screen.text) == (200, True)


def test_nothing_of_another_project_is_shown_under_a_project(own):
    assert see(own, id_of(1), "many").status == 404


def test_an_unknown_packet_is_a_page_that_says_so(own):
    screen = see(own, "01JS5LTMEXAMPLEPACKET99999")
    assert (screen.status, "has no packet 01JS5LTMEXAMPLEPACKET99999" in screen.text) == (404, True)


def test_a_packet_that_was_just_pushed_is_shown_before_it_has_a_page(own):
    own.memory.packets.push([Push(OWNER, body(30, goal="just now"))])
    screen = see(own, id_of(30))
    assert (screen.status, "just now" in screen.text) == (200, True)
    own.memory.packets.settle()


def test_the_script_that_copies_is_served(own):
    (address,) = {each["src"] for each in see(own, id_of(1)).elements("script") if "copy.js" in each["src"]}
    status, headers, text = ask(own, address)
    assert (status, headers["Content-Type"].split(";")[0], "data-copy" in text) == (200, "text/javascript", True)
