"""`handoff accept --packet`: the packet that goes with a handoff, as an agent reads it."""

import json

import pytest

from ai_memory.model.packet import example, parse
from ai_memory.model.packet_text import resume_block

PACKET = json.loads(example())
TAKEN = {
    "from_agent": "claude-code",
    "from_session_id": "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0001",
    "created_at": "2026-11-20T10:00:00Z",
    "summary": "VAT is done",
    "open_questions": [],
    "next_steps": [],
    "files_touched": [],
    "packet_id": PACKET["id"],
}
NONE = {"packet": None, "packet_problem": "the handoff names no packet"}


@pytest.fixture
def accept(own, type_):
    def run(*options, **answer):
        own.answers["POST /admin/handoffs/accept"] = 200, {"handoff": TAKEN, "scope": "default/shop", **answer}
        return type_("handoff", "accept", *options)

    return run


def test_the_packet_is_printed_as_an_agent_reads_it(accept, own):
    done = accept("--packet", packet=PACKET, packet_problem=None)
    assert (done.code, done.out, done.err) == (0, f"{resume_block(parse(example().encode()))}\n", "")
    assert json.loads(own.asked[-1].body)["packet"] is True


def test_without_a_packet_the_handoff_is_printed_and_why_there_is_none(accept):
    done = accept("--packet", **NONE)
    assert (done.code, done.err) == (0, "no packet: the handoff names no packet\n")
    assert "VAT is done" in done.out


def test_the_answer_is_json_when_that_is_asked_for(accept):
    done = accept("--packet", "--json", packet=PACKET, packet_problem=None)
    assert json.loads(done.out)["packet"] == PACKET


def test_a_handoff_says_which_packet_goes_with_it(accept, own):
    assert accept().out.endswith(f"VAT is done\n\nPacket: {PACKET['id']}\n")
    assert json.loads(own.asked[-1].body)["packet"] is False


def test_a_handoff_by_hand_names_a_packet(own, type_):
    own.answers["POST /admin/handoffs/begin"] = (
        200,
        {"handoff_id": "x", "scope": "default/shop", "resolved_by": "marker"},
    )
    assert type_("handoff", "begin", "VAT is done", "--packet", PACKET["id"]).code == 0
    assert json.loads(own.asked[-1].body)["packet_id"] == PACKET["id"]
