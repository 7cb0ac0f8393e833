"""Packets on their way in: no secret of any field is stored, wherever it stands, and what is left is a packet."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.capture.packet import scrubbed
from ai_memory.capture.scrub import Scrubber
from ai_memory.errors import BadRequestError
from ai_memory.model.packet import (
    PACKET_LIMIT,
    About,
    Attempt,
    BadPacketError,
    Decision,
    Method,
    Packet,
    Provenance,
    example,
    parse,
    stored_form,
)
from ai_memory.model.packet_page import packet_of, page_text

SCRUB = Scrubber().scrub
SECRET = "ghp_" + "a1B2c3D4e5" * 4
SAMPLE = parse(example().encode())
SMALL = Packet("0.2", "0123456789", "2026-04-21T12:00:00Z", "do it", "begin")
#: A packet with a text in one field -> that field, and how long it may be.
FIELDS = {
    "goal": (lambda text: replace(SMALL, goal=text), 1024),
    "next_step": (lambda text: replace(SMALL, next_step=text), 1024),
    "success_criteria": (lambda text: replace(SMALL, success_criteria=("a", text)), 1024),
    "constraints": (lambda text: replace(SMALL, constraints=(text, "b")), 1024),
    "decisions.what": (lambda text: replace(SMALL, decisions=(Decision(text, ""),)), 1024),
    "decisions.why": (lambda text: replace(SMALL, decisions=(Decision("", text),)), 1024),
    "decisions.consequences": (lambda text: replace(SMALL, decisions=(Decision("", "", text),)), 1024),
    "methods.when_applicable": (lambda text: replace(SMALL, methods=(Method("m", text, ""),)), 1024),
    "methods.how": (lambda text: replace(SMALL, methods=(Method("m", "", text),)), 2048),
    "attempts.tried": (lambda text: replace(SMALL, attempts=(Attempt(text, "failed"),)), 1024),
    "attempts.learned": (lambda text: replace(SMALL, attempts=(Attempt("", "failed", text),)), 1024),
    "open_questions": (lambda text: replace(SMALL, open_questions=(text,)), 1024),
    "project.name": (lambda text: replace(SMALL, project=About(text)), 128),
    "project.ref": (lambda text: replace(SMALL, project=About("", text)), 256),
    "provenance.author_model": (lambda text: replace(SMALL, provenance=Provenance(text)), 128),
    "provenance.author_human": (lambda text: replace(SMALL, provenance=Provenance("", text)), 128),
}


def test_a_packet_without_secrets_is_stored_as_it_came():
    assert scrubbed(SAMPLE, SCRUB) == (SAMPLE, stored_form(SAMPLE))


@pytest.mark.parametrize("field", FIELDS)
def test_a_secret_is_stored_of_no_field_wherever_it_stands(field):
    made, limit = FIELDS[field]
    room = limit - len(SECRET)
    for before in (0, room // 2, room - 1, room):
        packet = made("-" * (before - 1) + " " * (before > 0) + SECRET)
        clean, stored = scrubbed(packet, SCRUB)
        assert SECRET[:12] not in stored
        assert parse(stored.encode()) == clean
        assert clean == made(f"{'-' * (before - 1) + ' ' * (before > 0)}[REDACTED:github-token]"[:limit])


@pytest.mark.parametrize("field", FIELDS)
def test_what_is_longer_without_its_secrets_is_cut_at_no_secret_and_in_no_mark(field):
    made, limit = FIELDS[field]
    text = "password=hunter2hunter2 " * 100
    for length in range(limit - 24, limit + 1):
        clean, stored = scrubbed(made(text[:length]), SCRUB)
        assert "hunter2h" not in stored
        assert SCRUB(stored) == stored
        assert parse(stored.encode()) == clean


def test_a_bracket_that_is_no_mark_costs_no_text():
    told = "password=hunter2hunter2 [" + "x" * 999
    clean, _ = scrubbed(replace(SMALL, goal=told), SCRUB)
    assert clean.goal == f"password=[REDACTED:password] [{'x' * 994}"


@pytest.mark.parametrize("field", ["id", "parent_id"])
def test_a_secret_in_an_id_is_refused(field):
    with pytest.raises(BadRequestError, match="choose another"):
        scrubbed(replace(SMALL, **{field: SECRET}), SCRUB)


def test_a_name_whose_signs_are_prescribed_is_dropped_or_replaced():
    token = "glpat-" + "a1b2c3d4e5" * 2
    packet = replace(SMALL, tags=("fine", token), methods=(Method(token, "", ""), Method("kept", "", "")))
    clean, stored = scrubbed(packet, SCRUB)
    assert (clean.tags, [method.name for method in clean.methods]) == (("fine",), ["redacted", "kept"])
    assert token not in stored


def test_a_packet_that_is_too_large_without_its_secrets_is_refused():
    # Of one letter each, and the mark in its place is longer.
    step = "password=aB3$xY9! " * 56
    packet = replace(SMALL, open_questions=(step[:1000],) * 32)
    assert len(stored_form(packet).encode()) <= PACKET_LIMIT
    with pytest.raises(BadPacketError, match=r"bytes without its secrets, max is 32768") as refused:
        scrubbed(packet, SCRUB)
    assert refused.value.stage == "size"


@pytest.mark.parametrize(
    "text", ["PASSWORD=<yours>", 'send {"token": "<token>"} & wait', "secret = <ask & see>"], ids=ascii
)
def test_a_placeholder_is_no_secret_in_a_packet_either(text):
    packet = replace(SAMPLE, goal=text, constraints=(text,), methods=(Method("m", text, text),))
    assert scrubbed(packet, SCRUB) == (packet, stored_form(packet))
    kept = packet_of(SCRUB(page_text(packet, "owner")))
    assert kept is not None
    assert kept.packet == packet


@pytest.mark.parametrize("between", [(), ("x" * 900,) * 10], ids=["near", "far"])
def test_a_key_that_ends_before_it_begins_is_refused_because_it_would_break_the_page(between):
    begin, end = (f"-----{word} " + "RSA PRIVATE KEY-----" for word in ("BEGIN", "END"))
    packet = replace(
        SMALL, goal=f"cut off: {end}", constraints=(*between, begin), next_step=f"MIIEpAIBAAKCAQEA{'aB3d' * 12}"
    )
    with pytest.raises(BadRequestError, match="cannot be taken out"):
        scrubbed(packet, SCRUB)
    kept = replace(SMALL, goal=end, constraints=between)
    assert scrubbed(kept, SCRUB)[0] == kept


def test_a_pattern_that_would_take_the_json_apart_refuses_the_packet():
    with pytest.raises(BadRequestError, match="cannot be taken out"):
        scrubbed(SMALL, Scrubber([r'goal": "do']).scrub)


@given(st.sampled_from(sorted(FIELDS)), st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_any_packet_is_stored_as_a_packet_that_stays_as_it_is(field, text):
    packet = FIELDS[field][0](f"x{text}")
    try:
        clean, stored = scrubbed(packet, SCRUB)
    except BadRequestError:
        assert SCRUB(json.dumps(text)) != json.dumps(text) or SCRUB(stored_form(packet)) != stored_form(packet)
    else:
        assert scrubbed(parse(stored.encode()), SCRUB) == (clean, stored)
