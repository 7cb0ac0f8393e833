"""Records as pages and as files: what is written is read again, and what is no record is told apart."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ai_memory.model.page import parsed, sealed
from ai_memory.model.record import (
    BadRecordError,
    Connection,
    Record,
    as_json,
    new_record,
    parsed_file,
    record_of,
    retold,
    text_of,
    transcripts_of,
)

ONE, TWO, THREE = ("0f3a9c5b7d2e4816a1b2c3d4e5f60718", "9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e", "3" * 32)
AT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
FILE = {
    "schema_version": 1,
    "uuid": ONE,
    "type": "note",
    "content": "Use WAL mode for the index.",
    "project": "atlas",
    "session_id": "7a1f",
    "importance": 7,
    "transcript_ref": None,
    "tags": "decision, sqlite",
    "created_at": "2026-01-15T09:30:00",
    "connections": [{"to_uuid": TWO, "relationship": "related_to"}],
    "status": "active",
}


def page_of(record):
    return parsed(record.path, text_of(record))


uuids = st.text("0123456789abcdef", min_size=32, max_size=32)
words = st.text(st.characters(codec="utf-8"), max_size=40)
records = st.builds(
    new_record,
    uuid=uuids,
    type=st.sampled_from(["narrative", "note", "session_log"]),
    content=st.text(st.characters(codec="utf-8")).filter(str.strip),
    created_at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    importance=st.integers(1, 10),
    session_id=words,
    transcript_ref=st.lists(words, max_size=3) | words,
    tags=words,
    connections=st.lists(
        st.builds(Connection, uuids, st.sampled_from(["supersedes", "related_to"])), max_size=3, unique=True
    ),
)


@given(records, st.booleans(), st.none() | uuids)
@example(new_record(uuid=ONE, type="note", content="---\nrecord: x\n---\ny", created_at=AT, tags="##a, #"), True, TWO)
@example(
    new_record(uuid=ONE, type="note", content="[REDACTED:x] y", created_at=AT, session_id="2026-01-01"), False, None
)
@example(new_record(uuid=ONE, type="narrative", content="# A\r\nb", created_at=AT, tags="superseded"), True, None)
def test_any_record_is_read_from_its_page_as_it_was_written(record, archived, by):
    record = replace(record, archived=archived, archived_in=by or "", imported="0123456789abcdef" if by else "")
    tags = tuple(dict.fromkeys([*record.tags, *(["superseded"] if archived else [])]))
    assert record_of(page_of(record)) == replace(record, tags=tags)


@given(records, st.sampled_from(["active", "archived", None]))
def test_a_record_that_went_out_as_json_comes_in_again(record, status):
    row = as_json(record, "atlas") | {
        "connections": [{"to_uuid": each.to_uuid, "relationship": each.relationship} for each in record.connections],
        "status": status,
    }
    read, project = parsed_file(json.loads(json.dumps(row)), record.uuid)
    expected = replace(
        record,
        created_at=record.created_at.replace(microsecond=0),
        archived=status == "archived",
        imported=read.imported,
    )
    assert (read, project) == (expected, "atlas")


def test_a_file_is_read_as_the_record_that_it_describes():
    record, project = parsed_file(FILE, ONE)
    assert (record, project) == (
        Record(
            uuid=ONE,
            type="note",
            content="Use WAL mode for the index.",
            created_at=AT,
            importance=7,
            session_id="7a1f",
            tags=("decision", "sqlite"),
            connections=(Connection(TWO, "related_to"),),
            imported=record.imported,
        ),
        "atlas",
    )
    assert text_of(record) == (
        "---\n"
        "type: Note\n"
        "title: Use WAL mode for the index.\n"
        "kind: note\n"
        "tags:\n- decision\n- sqlite\n"
        f"record: {ONE}\n"
        "importance: 7\n"
        "created_at: '2026-01-15T09:30:00+00:00'\n"
        "session_id: 7a1f\n"
        f"connections:\n- to_uuid: {TWO}\n  relationship: related_to\n"
        "status: active\n"
        f"imported: {record.imported}\n"
        "---\n"
        "Use WAL mode for the index.\n"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content", "Other."),
        ("project", "other"),
        ("importance", 3),
        ("tags", None),
        ("status", "archived"),
        ("connections", []),
        ("transcript_ref", "a.jsonl"),
    ],
)
def test_an_edit_of_a_file_shows_in_its_digest(field, value):
    assert parsed_file({**FILE, field: value}, ONE)[0].imported != parsed_file(FILE, ONE)[0].imported


def test_the_same_said_in_other_words_has_the_same_digest():
    said = {**FILE, "tags": "decision,sqlite", "created_at": "2026-01-15T09:30:00Z", "status": None}
    assert parsed_file(said, ONE)[0].imported == parsed_file(FILE, ONE)[0].imported


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"uuid": TWO}, "its uuid is not"),
        ({"uuid": 7}, "its uuid is not"),
        ({"schema_version": 2}, "schema_version"),
        ({"type": "thought"}, "type 'thought'"),
        ({"type": None}, "type ''"),
        ({"content": " \n"}, "content is empty"),
        ({"content": 7}, "content is not a text"),
        ({"importance": 11}, "importance must be"),
        ({"importance": True}, "importance is not"),
        ({"importance": "5"}, "importance is not"),
        ({"created_at": None}, "created_at is not a time"),
        ({"created_at": "soon"}, "created_at is not a time"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "created_at is not a time"),
        ({"status": "gone"}, "status is neither"),
        ({"tags": ["a"]}, "tags is not a text"),
        ({"transcript_ref": 7}, "transcript_ref is neither"),
        ({"transcript_ref": [7]}, "transcript_ref is neither"),
        ({"connections": {}}, None),
        ({"connections": "x"}, "connections is not"),
        ({"connections": [{"to_uuid": "x", "relationship": "related_to"}]}, "connections is not"),
        ({"connections": [{"to_uuid": TWO, "relationship": "likes"}]}, "connections is not"),
        ({"type": "narrative", "project": None}, "a narrative needs a project"),
        ({"project": 7}, "project is not a text"),
    ],
)
def test_a_file_that_is_no_record_says_what_is_wrong_with_it(change, reason):
    if reason is None:
        assert parsed_file({**FILE, **change}, ONE)[0].connections == ()
        return
    with pytest.raises(BadRecordError, match=reason):
        parsed_file({**FILE, **change}, ONE)


@pytest.mark.parametrize("value", [None, [], "x", 7])
def test_what_is_no_object_is_no_record(value):
    with pytest.raises(BadRecordError, match="not a JSON object"):
        parsed_file(value, ONE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(FILE)), json_values))
def test_any_file_is_a_record_or_is_refused(changes):
    try:
        record, _ = parsed_file({**FILE, **changes}, ONE)
    except BadRecordError:
        return
    assert record_of(page_of(record)) == replace(record, tags=record_of(page_of(record)).tags)


@pytest.mark.parametrize(
    ("ref", "names"),
    [
        ("", []),
        (None, []),
        ("a.jsonl", ["a.jsonl"]),
        ("a, b\nc ,a", ["a", "b", "c"]),
        ('["a", "b, c"]', ["a", "b, c"]),
        (["a", " b ", "a", ""], ["a", "b"]),
        ("[a", ["[a"]),
    ],
)
def test_transcripts_are_named_by_a_list_a_list_as_json_or_a_text(ref, names):
    assert transcripts_of(ref) == names


@pytest.mark.parametrize(
    "spoilt",
    [
        ("record: 0f", "record: xx"),
        ("record: 0", "recorded: 0"),
        ("kind: note", "kind: gotcha"),
        ("created_at: '2026", "created_at: 'soon"),
        ("Use WAL mode for the index.\n", ""),
    ],
)
def test_a_page_that_lost_what_makes_it_a_record_is_none(spoilt):
    text = text_of(parsed_file({**FILE, "content": "# T\nUse WAL mode for the index."}, ONE)[0])
    text = text.replace("# T\n", "") if spoilt[1] == "" else text
    assert record_of(parsed("notes/a.md", text)) is not None
    assert record_of(parsed("notes/a.md", text.replace(*spoilt))) is None


@given(records, records)
def test_what_changed_of_a_record_is_written_without_touching_its_content(one, other):
    changed = replace(other, uuid=one.uuid, type=one.type, content=one.content)
    assert record_of(parsed("notes/a.md", retold(text_of(one), changed))) == changed


def test_what_somebody_added_to_a_records_page_stays():
    record, _ = parsed_file(FILE, ONE)
    text = sealed(text_of(record).replace("title: Use", "mine: [1]  # kept\ntitle: Do use"))
    assert retold(text, replace(record, importance=9, connections=())) == (
        text_of(replace(record, importance=9, connections=())).replace("title: Use", "mine: [1]  # kept\ntitle: Do use")
    )
    assert retold("# Mine\n", record).startswith("---\ntype: Note\nkind: note\n")


def test_fields_that_somebody_spoilt_by_hand_count_as_not_said():
    record, _ = parsed_file(FILE, ONE)
    text = text_of(record).replace("importance: 7", "importance: high").replace(f"to_uuid: {TWO}", "to_uuid: [x]")
    assert record_of(parsed("notes/a.md", text)) == replace(record, importance=5, connections=())


def test_where_a_page_is_says_what_it_is():
    record, _ = parsed_file({**FILE, "type": "narrative"}, ONE)
    assert [record.path, replace(record, archived=True).path, replace(record, type="session_log").path] == [
        "narrative.md",
        f"narratives/{ONE}.md",
        f"notes/records/{ONE}.md",
    ]
