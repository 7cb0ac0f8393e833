"""The page of a packet: where it is, what it says, and that the packet is read back from it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.front import formatted, front_matter, parts, with_keys
from ai_memory.model.packet import Packet, canonical, example, parse
from ai_memory.model.packet_page import KeptPacket, packet_of, page_path, page_text
from ai_memory.model.packet_text import resume_block
from ai_memory.model.page import collision_key, parsed, writable_page_path

SAMPLE = parse(example().encode())
SMALL = Packet("0.2", "0123456789", "2026-04-21T12:00:00Z", "do it", "begin")
HOSTILE = [
    *("```\n\n```json\n{}\n```", "---\nowner: somebody\n---", "owner: x\n---\n", "~~~", "\x00\x01\x7f\x85\x9f"),
    *(
        "a\u2028b\u2029c\x0bd\x0ce",
        "\ufeff",
        "\ufffe\uffff",
        "yes",
        "null",
        "2026-02-30",
        "*alias",
        "!!python/x y",
        "{a: b}",
    ),
    *("- x\n- y", "'", '"', "\\", "# heading", "[[link]]", "<!-- ", "%", "@", "`", "\t", " ", "🙂", "\u202e"),
]


@pytest.mark.parametrize(
    ("packet_id", "path"),
    [
        ("01M7YRRT80Z6V1M9N5R7T2WCEX", "packets/01M7YRRT80Z6V1M9N5R7T2WCEX.md"),
        ("01JS5LTMEXAMPLEPACKET00001A", "packets/01JS5LTMEXAMPLEPACKET00001A.md"),
        ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "packets/6ba7b810-9dad-11d1-80b4-00c04fd430c8.md"),
        ("../../../../etc/passwd", "packets/x-a032902ca26bf0d1efe11ab45b0ef4c7.md"),
    ],
)
def test_an_id_that_is_a_file_name_names_the_page_and_any_other_its_digest(packet_id, path):
    assert page_path(packet_id) == path


def test_no_two_ids_share_a_file_on_any_system():
    ids = [
        *(
            "ABCDEFGHIJ",
            "abcdefghij",
            "Abcdefghij",
            "éééééééééé",
            "e\u0301" * 10,
            "a/b/c/d/e/f",
            "0123456789",
            "0123456789 ",
        ),
        *(
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
            "\ud800" * 10,
            "0123456789\n",
        ),
    ]
    assert len({collision_key(page_path(packet_id)) for packet_id in ids}) == len(ids)


@given(st.text(min_size=10, max_size=64))
def test_any_id_has_a_page_that_can_be_written(packet_id):
    assert writable_page_path(page_path(packet_id)) == page_path(packet_id)


def test_a_page_is_front_matter_the_block_to_read_and_the_packet():
    text = page_text(SAMPLE, "owner", "01TEAM", draft=True, refused=("goal/abs-path: /home/bob",))
    cut = parts(text)
    assert cut.front == {
        "type": "Packet",
        "kind": "packet",
        "title": "Show ferry departures in the traveller's own time zone without breaking the printed timetable.",
        "packet": SAMPLE.id,
        "created_at": "2026-11-21T10:00:00Z",
        "owner": "owner",
        "status": "draft",
        "team": "01TEAM",
        "parent": SAMPLE.parent_id,
        "tags": ["timetable", "time-zones"],
        "refused": ["goal/abs-path: /home/bob"],
        "tier": "episodic",
    }
    assert cut.body == f"{resume_block(SAMPLE)}\n```json\n{canonical(SAMPLE)}\n```\n"
    page = parsed(page_path(SAMPLE.id), text)
    assert (page.type, page.kind, page.tags, page.problems) == ("Packet", "packet", SAMPLE.tags, ())


def test_a_page_of_a_small_packet_has_no_empty_keys():
    assert front_matter(page_text(SMALL, "owner")) == {
        "type": "Packet",
        "kind": "packet",
        "title": "do it",
        "packet": "0123456789",
        "created_at": "2026-04-21T12:00:00Z",
        "owner": "owner",
        "status": "saved",
    }


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_in_a_packet_breaks_out_of_its_page(text):
    packet = replace(
        SAMPLE,
        id=f"{text}0123456789",
        parent_id=f"{text}0123456789",
        goal=text,
        next_step=text,
        constraints=(text, text),
    )
    kept = packet_of(page_text(packet, "owner", "team", draft=True, refused=(text,)))
    assert kept == KeptPacket(packet, canonical(packet), "owner", "team", draft=True, refused=(text,))


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    st.text(min_size=1, max_size=20).filter(str.isprintable),
    st.booleans(),
)
def test_any_packet_is_read_back_from_its_page(text, owner, draft):
    packet = replace(SAMPLE, goal=text, next_step=text, open_questions=(text,), decisions=())
    kept = packet_of(page_text(packet, owner, draft=draft))
    assert kept == KeptPacket(packet, canonical(packet), owner, draft=draft)


def test_a_packet_too_large_for_canonical_form_is_read_back_from_its_page():
    packet = replace(SMALL, constraints=("<" * 1024,) * 30)
    kept = packet_of(page_text(packet, "owner"))
    assert kept is not None
    assert (kept.packet, len(kept.text) < 32_768) == (packet, True)


def test_a_draft_of_which_nothing_may_travel_is_read_back_from_its_page():
    refused = tuple(f"decisions[{number}].consequences/abs-path: /home/bob/notes" for number in range(2_000))
    kept = packet_of(page_text(SMALL, "owner", draft=True, refused=refused))
    assert kept == KeptPacket(SMALL, canonical(SMALL), "owner", draft=True, refused=refused[:100])


def test_signs_of_html_stand_in_a_page_as_they_are():
    packet = replace(SMALL, goal="a < b & c")
    text = page_text(packet, "owner")
    assert '\n  "goal": "a < b & c",\n' in text
    kept = packet_of(text)
    assert kept is not None
    assert (kept.packet, kept.text) == (packet, canonical(packet))


def test_what_a_person_adds_around_the_packet_does_no_harm():
    text = with_keys(page_text(SAMPLE, "owner"), {"pinned": True, "owner": "owner"})
    edited = text.replace("## Goal", "My note.\n\n```\ncode\n```\n\n## Goal") + "\nMore.\n"
    for written in (edited, edited.replace("\n", "\r\n"), "\ufeff" + edited):
        kept = packet_of(written)
        assert kept is not None
        assert (kept.packet, kept.owner) == (SAMPLE, "owner")


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"goal": ', '"gaol": '),
        lambda text: text.replace("```json", "```"),
        lambda text: text + "\n```json\n{}\n```\n",
        lambda text: text.replace("owner: owner\n", ""),
        lambda text: text.replace("owner: owner\n", "owner: [owner]\n"),
        lambda text: text.replace("kind: packet\n", "kind: [packet\n"),
        lambda text: text.replace('"goal": "', '"goal": "\ud800'),
        lambda text: "",
    ],
    ids=[
        "unknown field",
        "no block",
        "two blocks",
        "no owner",
        "a list of owners",
        "broken YAML",
        "half a pair",
        "empty",
    ],
)
def test_a_page_that_an_edit_broke_holds_no_packet(edit):
    assert packet_of(edit(page_text(SAMPLE, "owner"))) is None


def test_a_page_of_something_else_holds_no_packet():
    assert packet_of(formatted({"owner": "owner"}, "# Notes\n\n```json\n[1]\n```\n")) is None
