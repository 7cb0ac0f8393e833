"""What is a packet: every limit at its boundary, the first thing that is wrong, the form in which it is kept."""

import json
import re
from datetime import datetime, timedelta, timezone
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.packet import (
    PACKET_LIMIT,
    About,
    Attempt,
    BadPacketError,
    Decision,
    Method,
    Packet,
    Provenance,
    canonical,
    example,
    filled_in,
    in_utc,
    parse,
    scan,
    schema,
    stored_form,
)

NEEDED = {
    "ltm_version": "0.2",
    "id": "01JABCDEF0123456789ABCDEFG",
    "created_at": "2026-04-21T12:00:00Z",
    "goal": "g",
    "next_step": "n",
}


def raw(**fields):
    return json.dumps({**NEEDED, **fields}).encode()


def with_json(text):
    """A packet with more JSON at its end, as it stands."""
    return f"{json.dumps(NEEDED)[:-1]}, {text}}}".encode()


def verdict(data):
    with pytest.raises(BadPacketError) as refused:
        parse(data)
    return refused.value.stage, refused.value.at, refused.value.keyword


def nested(*path):
    """Give fields where a path of keys and indexes holds a value, around it what is required."""

    def fields(value):
        filled = {
            "decisions": {"what": "w", "why": "y"},
            "methods": {"name": "n", "when_applicable": "w", "how": "h"},
            "attempts": {"tried": "t", "outcome": "failed"},
        }
        if len(path) == 1:
            return {path[0]: value}
        if path[0] in filled:
            return {path[0]: [{**filled[path[0]], path[1]: value}]}
        return {path[0]: {path[1]: value}}

    return fields


LENGTHS = {
    "/id": (nested("id"), 10, 64),
    "/parent_id": (nested("parent_id"), 10, 64),
    "/goal": (nested("goal"), 1, 1024),
    "/next_step": (nested("next_step"), 1, 1024),
    "/project/name": (nested("project", "name"), 0, 128),
    "/project/ref": (nested("project", "ref"), 0, 256),
    "/success_criteria/0": (lambda value: {"success_criteria": [value]}, 0, 1024),
    "/constraints/0": (lambda value: {"constraints": [value]}, 0, 1024),
    "/open_questions/0": (lambda value: {"open_questions": [value]}, 0, 1024),
    "/decisions/0/what": (nested("decisions", "what"), 0, 1024),
    "/decisions/0/why": (nested("decisions", "why"), 0, 1024),
    "/decisions/0/consequences": (nested("decisions", "consequences"), 0, 1024),
    "/methods/0/when_applicable": (nested("methods", "when_applicable"), 0, 1024),
    "/methods/0/how": (nested("methods", "how"), 0, 2048),
    "/attempts/0/tried": (nested("attempts", "tried"), 0, 1024),
    "/attempts/0/learned": (nested("attempts", "learned"), 0, 1024),
    "/provenance/author_model": (nested("provenance", "author_model"), 0, 128),
    "/provenance/author_human": (nested("provenance", "author_human"), 0, 128),
}


@pytest.mark.parametrize("at", LENGTHS)
@pytest.mark.parametrize("sign", ["x", "é", "\U0001f600"], ids=["ASCII", "two bytes", "four bytes"])
def test_a_text_may_have_as_many_code_points_as_its_limit_says(at, sign):
    fields, least, most = LENGTHS[at]
    for length in {least, most}:
        assert isinstance(parse(raw(**fields(sign * length))), Packet)
    assert verdict(raw(**fields(sign * (most + 1)))) == ("schema", at, "maxLength")
    if least:
        assert verdict(raw(**fields(sign * (least - 1)))) == ("schema", at, "minLength")


ITEMS = {
    "success_criteria": (16, "t"),
    "constraints": (32, "t"),
    "decisions": (64, {"what": "w", "why": "y"}),
    "methods": (32, {"name": "n", "when_applicable": "w", "how": "h"}),
    "attempts": (64, {"tried": "t", "outcome": "partial"}),
    "open_questions": (32, "t"),
    "tags": (16, "t"),
}


@pytest.mark.parametrize("name", ITEMS)
def test_a_list_may_have_as_many_items_as_its_limit_says(name):
    most, item = ITEMS[name]
    assert len(getattr(parse(raw(**{name: [item] * most})), name)) == most
    assert verdict(raw(**{name: [item] * (most + 1)})) == ("schema", f"/{name}", "maxItems")


EVERYWHERE = [*LENGTHS, *(f"/{name}" for name in ITEMS), "/project", "/provenance", "/created_at"]


@pytest.mark.parametrize("at", EVERYWHERE)
def test_null_is_accepted_nowhere(at):
    name = at.removeprefix("/")
    fields = LENGTHS[at][0](None) if at in LENGTHS else {name: None}
    assert verdict(raw(**fields)) == ("schema", at, "type")


@pytest.mark.parametrize("where", ["project", "provenance", "decisions", "methods", "attempts"])
def test_unknown_fields_are_refused_at_every_level(where):
    fields = nested(where, "x")(1)
    at = f"/{where}/0" if isinstance(fields[where], list) else f"/{where}"
    assert verdict(raw(**fields)) == ("schema", at, "additionalProperties")


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"parent_id": "a" * 10}, ""),
        ({"success_criteria": []}, ""),
        ({"methods": []}, ""),
        ({"decisions": [{"what": "w", "why": "y", "consequences": ""}]}, "/decisions/0"),
        ({"attempts": [{"tried": "t", "outcome": "failed", "confidence": "low"}]}, "/attempts/0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_the_first_version_knows_nothing_of_the_second(fields, at):
    assert verdict(raw(**{"ltm_version": "0.1", **fields})) == ("schema", at, "additionalProperties")
    assert isinstance(parse(raw(**fields)), Packet)


@pytest.mark.parametrize(
    ("version", "stage"),
    [
        *((version, "version-unsupported") for version in ("0.3", "1.0", "v0.2", "0.2.0", " 0.2", "0.2\n", "0.2\x00")),
        *((version, "version-missing") for version in ("", None, 0.2, ["0.2"], {})),
    ],
    ids=repr,
)
def test_only_two_versions_are_taken_and_the_refusal_names_them(version, stage):
    with pytest.raises(BadPacketError, match=re.escape("supported: 0.1, 0.2")) as refused:
        parse(raw(ltm_version=version))
    assert (refused.value.stage, refused.value.status) == (stage, 400)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b" " * 40_000, ("size", "", "")),
        (b"{" * 9, ("json", "", "")),
        (b"[]", ("not-object", "", "")),
        (b"null", ("not-object", "", "")),
        (b'{"goal": null}', ("version-missing", "", "")),
        (b'{"ltm_version": "9", "x": 1}', ("version-unsupported", "", "")),
        (b'{"ltm_version": "0.2", "x": 1}', ("schema", "", "required")),
        (raw(goal="", x=1), ("schema", "/goal", "minLength")),
        (raw(created_at="yesterday", x=1), ("schema", "", "additionalProperties")),
        (raw(tags=["A"] * 17), ("schema", "/tags", "maxItems")),
        (raw(methods=[{"name": "A" * 129, "x": 1}]), ("schema", "/methods/0", "required")),
        (raw(attempts=[{"tried": 1, "outcome": 1}]), ("schema", "/attempts/0/tried", "type")),
        (raw(created_at="yesterday"), ("created_at-time", "", "")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_first_thing_that_is_wrong_is_named(data, expected):
    assert verdict(data) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "\ufeff{}",
            "{} x",
            "{'a':1}",
            '{"a":NaN}',
            '{"a":-Infinity}',
            '{"a":01}',
            '{"a":1e999}',
            '{"a":.5}',
        ),
        *(
            '{"a":"\t"}',
            '{"a":"\\x"}',
            '{"a":"\\ud8"}',
            '{"a":1,}',
            "\xa0{}",
            "\u2028{}",
            "\x0c{}",
            f'{{"a":{"9" * 400}}}',
        ),
    ],
    ids=ascii,
)
def test_what_is_no_json_is_refused_as_such(text):
    assert verdict(text.encode()) == ("json", "", "")


@pytest.mark.parametrize("space", [" ", "\t", "\r", "\n"], ids=ascii)
def test_white_space_of_json_may_stand_around_a_packet(space):
    assert parse((space * 3).encode() + raw() + (space * 3).encode()) == parse(raw())


def test_thousands_of_brackets_are_read_like_few():
    assert verdict(with_json('"x": ' + "[" * 9_999 + "]" * 9_999)) == ("schema", "", "additionalProperties")
    assert verdict(with_json('"goal": ' + '[{"a":' * 2_000 + "1" + "}]" * 2_000)) == ("schema", "/goal", "type")
    for broken in ("[" * 10_001 + "]" * 10_001, "[" * 5_000 + "1," + "]" * 5_000, "[" * 5_000 + "]" * 4_999 + "}"):
        assert verdict(with_json('"x": ' + broken)) == ("json", "", "")
    assert verdict(b"[" * 20_000) == ("json", "", "")
    assert verdict(b"[" * 5_000 + b"]" * 5_001) == ("json", "", "")
    assert verdict(b"[" * 5_000 + b'"]' + b"]" * 5_000) == ("json", "", "")
    assert verdict(b"[" * 5_000 + b"]" * 5_000) == ("not-object", "", "")


@pytest.mark.parametrize(
    "data",
    [
        with_json('"x": ' + "[" * 2_000 + '"' + '\\"' * 14_000),
        with_json(f'"{"eyJ" * 10_000}": 1'),
        with_json(f'"{"eyJ" * 5_000}.{"eyJ" * 5_000}": 1'),
    ],
    ids=["a text that does not end", "what may be a token", "what may be the end of a token"],
)
def test_a_packet_made_to_be_slow_is_refused_in_no_time(data):
    started = process_time()
    assert verdict(data)[0] in ("json", "schema")
    # It takes a hundredth; each of these took more than a quarter.
    assert process_time() - started < 0.15


def test_of_a_key_that_is_there_twice_the_last_counts():
    assert parse(with_json('"goal": "last", "g\\u006fal": "escaped"')).goal == "escaped"


def test_half_a_pair_and_bytes_that_are_no_utf_8_become_the_replacement_sign():
    assert parse(raw(goal="a\ud800b\udc00c\ud83d\ude00")).goal == "a\ufffdb\ufffdc\U0001f600"
    data = raw(goal="@").replace(b"@", b"\xe2\x82A\xed\xa0\x80\xff")
    assert parse(data).goal == "\ufffd\ufffdA\ufffd\ufffd\ufffd\ufffd"
    assert verdict(raw().replace(b"{", b"\xff{", 1)) == ("json", "", "")


def test_a_packet_of_exactly_the_limit_passes_and_one_byte_more_does_not():
    padded = raw().ljust(PACKET_LIMIT)
    assert parse(padded) == parse(raw())
    with pytest.raises(BadPacketError, match="packet is 32769 bytes, max is 32768"):
        parse(padded + b" ")


def test_a_packet_that_would_be_kept_over_the_limit_is_refused():
    data = raw(constraints=["@" * 1024] * 20).replace(b"@", b"\xff")
    assert len(data) < PACKET_LIMIT
    assert verdict(data) == ("size", "", "")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2026-04-21T12:00:00.500Z", "2026-04-21T12:00:00.5Z"),
        ("2026-04-21T12:00:00.000Z", "2026-04-21T12:00:00Z"),
        ("2026-04-21T12:00:00,25Z", "2026-04-21T12:00:00.25Z"),
        ("2026-04-21T12:00:00.1234567899Z", "2026-04-21T12:00:00.123456789Z"),
        ("2026-04-21T9:00:00-05:30", "2026-04-21T09:00:00-05:30"),
        ("2026-04-21T12:00:00+24:00", "2026-04-21T12:00:00+24:00"),
        ("2026-04-21T12:00:00+00:00", "2026-04-21T12:00:00Z"),
        ("2026-04-21T12:00:00+01:60", "2026-04-21T12:00:00+02:00"),
        ("2026-04-21T12:00:00-00:60", "2026-04-21T12:00:00-01:00"),
        ("2026-04-21T12:00:00-24:60", "2026-04-21T12:00:00-24:60"),
        ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"),
        ("0000-02-29T00:00:00Z", "0000-02-29T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_kept_as_canonical_form_has_it(said, kept):
    packet = parse(raw(created_at=said))
    assert packet.created_at == kept
    assert parse(canonical(packet).encode()) == packet


@pytest.mark.parametrize(
    "said",
    [
        *("", "2026-02-30T12:00:00Z", "2025-02-29T12:00:00Z", "1900-02-29T12:00:00Z", "2026-13-01T12:00:00Z"),
        *("2026-00-01T12:00:00Z", "2026-01-00T12:00:00Z", "2026-04-21T12:60:00Z", "2026-04-21T12:00:00.Z"),
        *("2026-04-21T12:00:00", "2026-04-21T12:00:00+0200", "2026-04-21T12:00:00+25:00", "2026-04-21T12:00:00+01:61"),
        *("2026-04-21T12:00:00Z\n", "2026-04-21T12:00:00+24:61", "२०२६-04-21T12:00:00Z", "+2026-04-21T12:00:00Z"),
    ],
    ids=ascii,
)
def test_what_is_no_time_is_refused(said):
    assert verdict(raw(created_at=said)) == ("created_at-time", "", "")


def test_a_time_with_an_escape_in_it_is_refused():
    assert verdict(raw().replace(b"T12:00:00Z", b"T12:00:00\\u005a")) == ("created_at-time", "", "")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-04-21T12:00:00.9Z", "2026-04-21T12:00:00.95Z"),
        ("2026-04-21T23:00:00+02:00", "2026-04-21T21:00:01Z"),
        ("0000-01-01T00:00:00+01:00", "0000-01-01T00:00:00Z"),
        ("2026-04-21T12:00:00+24:00", "2026-04-20T12:00:01Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.5-01:00"),
    ],
)
def test_times_in_utc_are_in_the_order_of_the_moments(earlier, later):
    assert in_utc(earlier) < in_utc(later)


def test_the_canonical_form_is_the_reference_s_to_the_byte():
    packet = Packet(
        "0.2", "0123456789", "2026-04-21T12:00:00Z", '<&>\u2028\u2029\x7f\x00\x1f\b\f"\\/é', "n",
        project=About(), tags=("t",), decisions=(Decision("", "", locked=True),), provenance=Provenance(),
    )  # fmt: skip
    assert canonical(packet) == (
        '{\n  "ltm_version": "0.2",\n  "id": "0123456789",\n  "created_at": "2026-04-21T12:00:00Z",\n  "project": {},\n'
        '  "goal": "\\u003c\\u0026\\u003e\\u2028\\u2029\x7f\\u0000\\u001f\\b\\f\\"\\\\/é",\n'
        '  "decisions": [\n    {\n      "what": "",\n      "why": "",\n      "locked": true\n    }\n  ],\n'
        '  "next_step": "n",\n  "tags": [\n    "t"\n  ],\n  "provenance": {}\n}'
    )


def test_a_packet_that_canonical_form_makes_too_large_is_kept_in_the_shortest():
    packet = parse(raw(constraints=["<" * 1024] * 30))
    assert len(canonical(packet)) > PACKET_LIMIT
    assert len(stored_form(packet).encode()) <= PACKET_LIMIT
    assert parse(stored_form(packet).encode()) == packet
    assert stored_form(parse(raw())) == canonical(parse(raw()))


def test_a_secret_in_what_is_wrong_is_not_said_again():
    secret = "gh" + "p_" + "a1B2" * 10
    for data in (raw(tags=[secret]), raw(**{secret: 1}), raw(ltm_version=secret), raw(created_at=secret)):
        with pytest.raises(BadPacketError) as refused:
            parse(data)
        assert secret[4:] not in str(refused.value)
        assert "gh-token: ghp_…" in str(refused.value)


@pytest.mark.parametrize("before", ["", "x" * 30 + " ", "the key "], ids=len)
def test_of_a_token_that_nobody_knows_no_more_is_said(before):
    token = "ZQ7" + "aB3dE5fG" * 6
    for data in (raw(tags=[before + token]), raw(**{before + token: 1}), raw(created_at=before + token)):
        with pytest.raises(BadPacketError) as refused:
            parse(data)
        assert token[4:10] not in str(refused.value)


def test_what_is_wrong_is_said_as_it_was_written():
    for data, told in (
        (raw(alternatives_considered=1), '"alternatives_considered"'),
        (raw(created_at="2026-04-21 12:00:00Z"), '"2026-04-21 12:00:00Z"'),
        (raw(tags=["a b " * 20]), f'"{"a b " * 10}…"'),
    ):
        with pytest.raises(BadPacketError, match=re.escape(told)):
            parse(data)


def test_a_new_packet_gets_the_version_an_id_of_its_own_and_the_time():
    now = datetime(2026, 11, 21, 11, tzinfo=timezone(timedelta(hours=1)))
    written = {"goal": "g", "next_step": "n"}
    packets = [parse(json.dumps(filled_in(written, now)).encode()) for _ in range(1_000)]
    assert {(packet.ltm_version, packet.created_at) for packet in packets} == {("0.2", "2026-11-21T10:00:00Z")}
    assert {packet.id[:10] for packet in packets} == {"01M7YRRT80"}
    assert len({packet.id for packet in packets}) == 1_000
    assert filled_in(NEEDED, now) == NEEDED


def test_the_schema_tells_every_field_and_its_limits():
    told = schema()
    assert list(told["properties"]) == [
        *("ltm_version", "id", "parent_id", "created_at", "project", "goal", "success_criteria", "constraints"),
        *("decisions", "methods", "attempts", "open_questions", "next_step", "tags", "provenance"),
    ]
    assert told["required"] == list(NEEDED)
    assert told["properties"]["goal"] == {"type": "string", "minLength": 1, "maxLength": 1024}
    assert told["properties"]["attempts"]["items"] == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "tried": {"type": "string", "maxLength": 1024},
            "outcome": {"type": "string", "enum": ["succeeded", "failed", "partial"]},
            "learned": {"type": "string", "maxLength": 1024},
            "confidence": {"type": "string", "enum": ["low", "medium", "high"]},
        },
        "required": ["tried", "outcome"],
    }


def test_the_sample_packet_is_canonical_and_may_travel():
    packet = parse(example().encode())
    assert canonical(packet) + "\n" == example()
    assert packet.ltm_version == "0.2"
    assert (scan(packet), scan(packet, strict=True)) == ([], [])


# Any packet, any bytes

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LEVEL = st.sampled_from(["", "low", "medium", "high"])
NAME = st.from_regex("[a-z0-9][a-z0-9-]{0,9}", fullmatch=True)


def several(things):
    return st.lists(things, max_size=2).map(tuple)


PACKETS = st.builds(
    Packet,
    ltm_version=st.just("0.2"),
    id=st.text(st.characters(exclude_categories=["Cs"]), min_size=10, max_size=64),
    created_at=st.datetimes().map(lambda at: f"{at:%Y}".rjust(4, "0") + f"{at:-%m-%dT%H:%M:%S}Z"),
    goal=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    next_step=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    parent_id=st.just("") | st.text(st.characters(exclude_categories=["Cs"]), min_size=10, max_size=12),
    project=st.none() | st.builds(About, TEXT, TEXT),
    success_criteria=several(TEXT),
    constraints=several(TEXT),
    decisions=several(st.builds(Decision, TEXT, TEXT, TEXT, st.booleans())),
    methods=several(st.builds(Method, NAME, TEXT, TEXT)),
    attempts=several(st.builds(Attempt, TEXT, st.sampled_from(["succeeded", "failed", "partial"]), TEXT, LEVEL)),
    open_questions=several(TEXT),
    tags=several(NAME),
    provenance=st.none() | st.builds(Provenance, TEXT, TEXT, st.just(""), LEVEL),
)


@given(PACKETS)
def test_what_is_written_is_read_back(packet):
    assert parse(canonical(packet).encode()) == packet
    assert canonical(parse(stored_form(packet).encode())) == canonical(packet)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted({*NEEDED, *ITEMS, "project", "provenance", "parent_id", "x"})), JSON)
def test_any_json_in_any_field_is_taken_or_refused(name, value):
    assert_taken_or_refused(raw(**{name: value}))


@given(st.binary(max_size=40), st.integers(0, 150))
def test_any_bytes_are_taken_or_refused(data, place):
    assert_taken_or_refused(data)
    whole = raw()
    assert_taken_or_refused(whole[:place] + data + whole[place:])


def assert_taken_or_refused(data):
    try:
        packet = parse(data)
    except BadPacketError:
        return
    assert parse(stored_form(packet).encode()) == packet
