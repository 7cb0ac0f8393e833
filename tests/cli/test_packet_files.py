"""Packets in files: made, checked and cleaned without a server of packets."""

import json
import re
from urllib.parse import urlencode

import pytest

from ai_memory.model import packet as packets

EXAMPLE = packets.example().encode()
KEY = "AKIAIOSFODNN7EXAMPLE"
NOTE = {"goal": "Move invoices to VAT per line", "next_step": "Test mixed rates"}


def changed(**fields):
    return json.dumps({**json.loads(EXAMPLE), **fields}).encode()


# example


def test_the_example_is_a_packet_that_may_travel(type_):
    text = type_("example").out
    packet = packets.parse(text.encode())
    assert (text.encode(), packet.ltm_version) == (EXAMPLE, "0.2")
    assert packets.scan(packet) == packets.scan(packet, strict=True) == []


def test_the_example_as_a_block_needs_no_server(type_):
    done = type_("example", "--resume")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("# Resume context")
    assert type_("example", "--resume", "--no-copy").out == done.out


# write


def test_a_few_fields_become_a_packet(type_):
    done = type_("write", "--from", "-", stdin=json.dumps(NOTE).encode())
    packet = packets.parse(done.out.encode())
    assert (packet.goal, packet.next_step, packet.ltm_version) == (*NOTE.values(), "0.2")
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", packet.id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", packet.created_at)
    assert type_("packet", "validate", "-", stdin=done.out.encode()).code == 0


def test_what_a_file_says_itself_stays(type_, tmp_path):
    file = tmp_path / "notes"
    file.write_bytes(EXAMPLE)
    assert packets.parse(type_("write", "--from", str(file)).out.encode()) == packets.parse(EXAMPLE)


def test_a_packet_is_written_to_a_file(type_, tmp_path):
    target = tmp_path / "packet.json"
    done = type_("write", "--from", "-", "-o", str(target), stdin=json.dumps(NOTE).encode())
    packet = packets.parse(target.read_bytes())
    assert (done.out, done.err) == ("", f"packet {packet.id} is in {target}: `ai-memory push {target}` sends it\n")


def test_a_place_where_no_packet_can_be_written_is_said(type_, tmp_path):
    target = tmp_path / "missing" / "packet.json"
    done = type_("write", "--from", "-", "-o", str(target), stdin=json.dumps(NOTE).encode())
    assert (done.code, done.err) == (3, f"error: {target} could not be written: No such file or directory\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "error: packet rejected: invalid json"),
        (b"[]", "error: packet rejected: packet must be a JSON object"),
        (b'{"goal": "x"}', "error: packet rejected: schema violation"),
        (json.dumps({**NOTE, "mood": 1}).encode(), "error: packet rejected: schema violation"),
    ],
)
def test_what_makes_no_packet_is_said(type_, content, said):
    done = type_("write", "--from", "-", stdin=content)
    assert (done.code, done.out, done.err.startswith(said)) == (2, "", True), done.err


def test_a_packet_with_a_secret_is_not_written_unless_allowed(type_):
    note = json.dumps({**NOTE, "constraints": [f"keep {KEY}"]}).encode()
    done = type_("write", "--from", "-", stdin=note)
    assert (done.code, done.out) == (1, "")
    assert "  - constraints[0]/aws-key: AKIA…\n" in done.err
    assert KEY in type_("write", "--from", "-", "--allow-unredacted", stdin=note).out


@pytest.mark.parametrize(("source", "session"), [("current", ""), ("5f0c", "5f0c")])
def test_a_session_is_written_as_its_draft(type_, own, tmp_path, monkeypatch, source, session):
    monkeypatch.chdir(tmp_path)
    query = urlencode({"cwd": str(tmp_path), **({"session": session} if session else {})})
    found = {"packet": json.loads(EXAMPLE), "session_id": "5f0c", "scope": "default/shop", "saved": False}
    own.answers[f"GET /admin/packets/draft?{query}"] = (200, found)
    assert packets.parse(type_("write", "--from", source).out.encode()) == packets.parse(EXAMPLE)


@pytest.mark.parametrize("source", ["no/such/file", "nothing.json"])
def test_a_file_that_is_not_there_is_no_session(type_, source):
    assert type_("write", "--from", source).err == f"error: there is no file {source}\n"


# packet validate


def test_a_packet_is_valid(type_):
    said = type_("packet", "validate", "-", stdin=EXAMPLE).out
    packet = packets.parse(EXAMPLE)
    assert said == f"✓ packet {packet.id}: spec v0.2, {len(EXAMPLE)} of 32768 bytes\n"
    told = json.loads(type_("packet", "validate", "-", "--json", stdin=EXAMPLE).out)
    assert told == {"valid": True, "id": packet.id, "ltm_version": "0.2", "bytes": len(EXAMPLE)}


def test_what_is_none_is_told_with_rule_and_place(type_):
    bad = changed(tags=["Upper"])
    done = type_("packet", "validate", "-", stdin=bad)
    assert (done.code, done.out, done.err.startswith("error: packet rejected: schema violation")) == (2, "", True)
    told = type_("packet", "validate", "-", "--json", stdin=bad)
    found = json.loads(told.out)
    assert (told.code, found.pop("error").startswith("schema violation")) == (2, True)
    assert found == {"valid": False, "stage": "schema", "at": "/tags/0", "keyword": "pattern"}


def test_a_file_that_is_not_there_is_said(type_):
    assert type_("packet", "validate", "nowhere.json").code == 2


# packet redact


def test_what_may_not_travel_is_listed_masked(type_):
    bad = changed(goal=f"Use {KEY} in /etc/shop.conf", project={"name": "/home/ana/shop"})
    done = type_("packet", "redact", "-", stdin=bad)
    assert (done.code, done.out.splitlines()) == (
        1,
        ["  - goal/abs-path: /etc/shop.conf", "  - goal/aws-key: AKIA…", "  - project.name/abs-path: /home/ana/shop"],
    )
    told = type_("packet", "redact", "-", "--json", stdin=bad)
    assert (told.code, json.loads(told.out)["findings"][1]) == (
        1,
        {"field": "goal", "kind": "aws-key", "found": "AKIA…"},
    )


def test_a_copy_has_kinds_in_their_place_and_passes(type_, tmp_path):
    block = "-----BEGIN PRIVATE KEY-----\nMIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEAq7BFUpkGp3+LQmlQ\n-----END PRIVATE KEY-----"
    bad = changed(
        goal=f"Use {KEY} in /etc/shop.conf, also {KEY}",
        next_step=block,
        constraints=["x" * 1017 + " /etc/a"],
        tags=["ferry", "akia"],
    )
    copy = tmp_path / "clean.json"
    done = type_("packet", "redact", "-", "--write", str(copy), stdin=bad)
    assert (done.code, done.out) == (0, "")
    assert "  - goal/aws-key: AKIA…\n" in done.err
    clean = packets.parse(copy.read_bytes())
    assert packets.scan(clean) == []
    assert clean.goal == "Use [REDACTED:aws-access-key] in [REDACTED:abs-path], also [REDACTED:aws-access-key]"
    assert "MIIB" not in clean.next_step
    assert clean.constraints[0].rstrip(" [") == "x" * 1017
    assert clean.tags == ("ferry", "akia")
    assert type_("packet", "redact", str(copy)).out == "✓ nothing to redact\n"
    assert packets.parse(type_("packet", "redact", "-", "--write", "-", stdin=bad).out.encode()) == clean


def test_a_clean_packet_comes_out_as_it_was(type_):
    assert packets.parse(type_("packet", "redact", "-", "--write", "-", stdin=EXAMPLE).out.encode()) == packets.parse(
        EXAMPLE
    )
    assert json.loads(type_("packet", "redact", "-", "--json", stdin=EXAMPLE).out) == {"findings": []}


def test_a_secret_where_nothing_can_stand_is_refused(type_, tmp_path):
    copy = tmp_path / "clean.json"
    done = type_("packet", "redact", "-", "--write", str(copy), stdin=changed(id=f"{KEY}"))
    assert (done.code, copy.exists()) == (2, False)
    assert KEY not in done.err
