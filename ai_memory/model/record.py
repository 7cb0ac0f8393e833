"""Records: what the record tools keep, each a page: its fields in the front matter, its content the body. Pure.

A record is a note, the log of a session, or the narrative of a project. It is known by its uuid, wherever its page is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ai_memory.errors import BadRequestError
from ai_memory.model.front import parts
from ai_memory.model.page import Page, formatted, with_keys

NARRATIVE, NOTE, SESSION_LOG = "narrative", "note", "session_log"
TYPES = (NARRATIVE, NOTE, SESSION_LOG)
SUPERSEDES, RELATED_TO = "supersedes", "related_to"
RELATIONSHIPS = (SUPERSEDES, RELATED_TO)
ACTIVE, ARCHIVED = "active", "archived"
IMPORTANCE = 5
#: Two records that begin with the same so many characters say the same.
HEAD = 100
#: The page of the narrative that holds; a project has one.
NARRATIVE_PAGE = "narrative.md"
_ARCHIVE = "narratives"
_FOLDER = "notes/records"
_LEAST, _MOST = 1, 10
_TITLE = 80
_UUID = re.compile(r"[0-9a-f]{32}")
_SEPARATORS = re.compile(r"[,\n]")
_OKF_TYPES = {NARRATIVE: "Narrative", NOTE: "Note", SESSION_LOG: "Session Log"}
#: A tag that searches rank below all that holds.
_SUPERSEDED = "superseded"


class BadRecordError(BadRequestError):
    """A record is not one that can be kept."""

    status = 422


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a record leads: the other's uuid, and how ("supersedes" or "related_to")."""

    to_uuid: str
    relationship: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        uuid: 32 hexadecimal digits.
        type: "narrative", "note" or "session_log".
        content: markdown, without space at its ends.
        created_at: UTC.
        importance: 1 to 10.
        session_id: of the agent, "" when nobody said it.
        transcripts: the transcripts that it was made from, as they were named.
        tags: in their order.
        connections: where it leads.
        archived: another record holds in its place.
        archived_in: uuid of that one, or "".
        imported: digest of the file that it was brought in from, "" when it was not.
    """

    uuid: str
    type: str
    content: str
    created_at: datetime
    importance: int = IMPORTANCE
    session_id: str = ""
    transcripts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    connections: tuple[Connection, ...] = ()
    archived: bool = False
    archived_in: str = ""
    imported: str = ""

    @property
    def path(self) -> str:
        """Where its page belongs in its project."""
        if self.type != NARRATIVE:
            return f"{_FOLDER}/{self.uuid}.md"
        return former_path(self.uuid) if self.archived else NARRATIVE_PAGE

    @property
    def head(self) -> str:
        """What it begins with: two records of one hour that begin alike are one."""
        return self.content[:HEAD]

    @property
    def status(self) -> str:
        """Whether it holds: "active" or "archived"."""
        return ARCHIVED if self.archived else ACTIVE


def former_path(uuid: str) -> str:
    """Say where the page of a narrative is that does not hold any more."""
    return f"{_ARCHIVE}/{uuid}.md"


def paths_of(uuid: str) -> tuple[str, str]:
    """Say where the page of a record may be buried that was deleted: as a note or log, and as a narrative."""
    return f"{_FOLDER}/{uuid}.md", former_path(uuid)


def is_uuid(text: object) -> bool:
    """Tell whether this is a uuid of a record."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


# Pages


def text_of(record: Record) -> str:
    """Write a record's page."""
    # A heading is a title by itself.
    title = "" if record.content.startswith("# ") else _title(record.content)
    tier = "episodic" if record.type == SESSION_LOG else ""
    front = {"type": _OKF_TYPES[record.type], "title": title, "tier": tier, **_front(record)}
    return formatted({key: value for key, value in front.items() if value not in ("", [])}, f"{record.content}\n")


def retold(text: str, record: Record) -> str:
    """Write what changed of a record, but for its content, into its page; every other byte stays, but for a seal."""
    kind = {} if parts(text).front.get("type") else {"type": _OKF_TYPES[record.type]}
    keys = {key: None if value in ("", []) else value for key, value in _front(record).items()}
    return with_keys(text, {**kind, **keys, "seal": None})


def _front(record: Record) -> dict[str, object]:
    # Whoever searches pages is to see first what holds.
    tags = list(dict.fromkeys([*record.tags, *([_SUPERSEDED] if record.archived else [])]))
    return {
        "kind": record.type,
        "tags": tags,
        "record": record.uuid,
        "importance": record.importance,
        "created_at": record.created_at.isoformat(),
        "session_id": record.session_id,
        "transcript_ref": list(record.transcripts),
        "connections": [{"to_uuid": each.to_uuid, "relationship": each.relationship} for each in record.connections],
        "status": record.status,
        "archived_in": record.archived_in,
        "imported": record.imported,
    }


def record_of(page: Page) -> Record | None:
    """Read the record that a page is, None when it is none; what somebody spoilt by hand counts as not said."""
    front = page.front
    uuid, type_, content = front.get("record"), page.kind, page.body.strip()
    created_at = _moment(front.get("created_at"))
    if not isinstance(uuid, str) or not is_uuid(uuid) or type_ not in TYPES or not content or created_at is None:
        return None
    importance, archived_in, imported = front.get("importance"), front.get("archived_in"), front.get("imported")
    connections = front.get("connections")
    found = [_connection(each) for each in connections] if isinstance(connections, list) else []
    return Record(
        uuid=uuid,
        type=type_,
        content=content,
        created_at=created_at,
        importance=importance if type(importance) is int and _LEAST <= importance <= _MOST else IMPORTANCE,
        session_id=_line(front.get("session_id")),
        transcripts=tuple(_lines(front.get("transcript_ref"))),
        tags=page.tags,
        connections=tuple(dict.fromkeys(each for each in found if each)),
        archived=front.get("status") == ARCHIVED,
        archived_in=archived_in if isinstance(archived_in, str) and is_uuid(archived_in) else "",
        imported=str(imported or ""),
    )


# The wire


def new_record(
    *,
    uuid: str,
    type: str,  # noqa: A002 - the wire's word
    content: str,
    created_at: datetime,
    importance: int = IMPORTANCE,
    session_id: str = "",
    transcript_ref: object = "",
    tags: str = "",
    connections: Sequence[Connection] = (),
) -> Record:
    """Make a record of what somebody asks to keep.

    Args:
        uuid, type, content, created_at, importance, session_id, connections: see `Record`.
        transcript_ref: a list, a list as JSON, or names with commas or lines between them.
        tags: with commas between them.

    Raises:
        BadRecordError: a field is not what it may be.
    """
    content = _whole(content).strip()
    if not content:
        raise BadRecordError("content is empty: say what is to be kept")
    if type not in TYPES:
        raise BadRecordError(f"type {type!r} is not one of {', '.join(TYPES)}")
    if not _LEAST <= importance <= _MOST:
        raise BadRecordError(f"importance must be from {_LEAST} to {_MOST}, not {importance}")
    for each in connections:
        check_relationship(each.relationship)
    return Record(
        uuid=uuid,
        type=type,
        content=content,
        created_at=created_at,
        importance=importance,
        session_id=_line(_whole(session_id)),
        transcripts=tuple(transcripts_of(transcript_ref)),
        tags=tuple(_tags(_whole(tags))),
        connections=tuple(dict.fromkeys(connections)),
    )


def check_relationship(relationship: str) -> None:
    """Refuse a relationship that there is not.

    Raises:
        BadRecordError: it is none.
    """
    if relationship not in RELATIONSHIPS:
        raise BadRecordError(f"relationship {relationship!r} is not one of {', '.join(RELATIONSHIPS)}")


def transcripts_of(ref: object) -> list[str]:
    """Read a `transcript_ref`: a list, a list as JSON, or names with commas or lines between them; each once."""
    if isinstance(ref, str) and ref.lstrip().startswith("["):
        # Else it is the name of a file that begins so.
        with suppress(ValueError, RecursionError):
            ref = json.loads(ref)
    return list(dict.fromkeys(_lines(_SEPARATORS.split(ref) if isinstance(ref, str) else ref)))


def as_json(record: Record, project: str) -> dict[str, Any]:
    """Give a record's fields as the wire has them; times are UTC, to the second and without a zone."""
    return {
        "uuid": record.uuid,
        "type": record.type,
        "content": record.content,
        "project": project,
        "session_id": record.session_id or None,
        "created_at": f"{record.created_at:%Y-%m-%dT%H:%M:%S}",
        "importance": record.importance,
        "transcript_ref": json.dumps(record.transcripts, ensure_ascii=False) if record.transcripts else None,
        "tags": ", ".join(record.tags) or None,
        "status": record.status,
    }


def parsed_file(value: object, stem: str) -> tuple[Record, str]:
    """Read the JSON of a record's file; gives the record, and its project's name ("" when it has none).

    Args:
        value: the JSON.
        stem: the file's name without its ending, which is the record's uuid.

    Raises:
        BadRecordError: it is not a record; the message says what is wrong with it.
    """
    if not isinstance(value, dict):
        raise BadRecordError("it is not a JSON object")
    uuid = value.get("uuid", stem)
    if not is_uuid(uuid) or uuid != stem:
        raise BadRecordError(f"its uuid is not its file's name of 32 hexadecimal digits: {str(uuid)[:40]!r}")
    version = value.get("schema_version", 1)
    if version != 1:
        raise BadRecordError(f"its schema_version is {str(version)[:40]!r}: only 1 can be read")
    created_at = _moment(value.get("created_at"))
    if created_at is None:
        raise BadRecordError(f"created_at is not a time: {str(value.get('created_at'))[:40]!r}")
    importance = value.get("importance", IMPORTANCE)
    if type(importance) is not int:
        raise BadRecordError("importance is not a whole number")
    status = value.get("status") or ACTIVE
    if status not in (ACTIVE, ARCHIVED):
        raise BadRecordError(f"status is neither {ACTIVE} nor {ARCHIVED}: {str(status)[:40]!r}")
    archived_in = _string(value, "archived_in")
    connections = value.get("connections") or []
    found = [_connection(each) for each in connections] if isinstance(connections, list) else [None]
    if None in found:
        raise BadRecordError("connections is not a list of {to_uuid, relationship}")
    record = new_record(
        uuid=stem,
        type=_string(value, "type"),
        content=_string(value, "content"),
        created_at=created_at,
        importance=importance,
        session_id=_string(value, "session_id"),
        transcript_ref=_ref(value),
        tags=_string(value, "tags"),
        connections=[each for each in found if each],
    )
    project = _string(value, "project").strip()
    if record.type == NARRATIVE and not project:
        raise BadRecordError("a narrative needs a project")
    archived_in = archived_in if is_uuid(archived_in) else ""
    record = replace(record, archived=status == ARCHIVED, archived_in=archived_in)
    return replace(record, imported=_digest(record, project)), project


def _ref(value: Mapping[str, Any]) -> object:
    ref = value.get("transcript_ref")
    if ref is None or isinstance(ref, str) or (isinstance(ref, list) and all(isinstance(each, str) for each in ref)):
        return ref or ""
    raise BadRecordError("transcript_ref is neither a text nor a list of texts")


def _string(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise BadRecordError(f"{key} is not a text")
    return found


def _connection(value: object) -> Connection | None:
    if not isinstance(value, Mapping) or not is_uuid(value.get("to_uuid")):
        return None
    relationship = value.get("relationship")
    return Connection(value["to_uuid"], relationship) if relationship in RELATIONSHIPS else None


def _digest(record: Record, project: str) -> str:
    said = [
        as_json(record, project),
        record.archived_in,
        [(each.to_uuid, each.relationship) for each in record.connections],
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def _moment(value: object) -> datetime | None:
    """Read a time; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if isinstance(at, datetime):
            return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass  # none is what it says
    return None


def _lines(value: object) -> list[str]:
    """Give the texts of a list, each on one line; of a text the list with itself."""
    items = value if isinstance(value, list | tuple) else [value]
    return [line for each in items if (line := _line(_whole(each) if isinstance(each, str) else each))]


def _line(value: object) -> str:
    return "" if value is None or isinstance(value, list | dict | set | bytes) else " ".join(str(value).split())


def _tags(text: str) -> list[str]:
    tags = (_line(tag).lstrip("# ") for tag in text.split(","))
    return list(dict.fromkeys(tag for tag in tags if tag))


def _title(content: str) -> str:
    line = " ".join(content.split("\n", 1)[0].lstrip("# ").split())
    return line if len(line) <= _TITLE else line[: _TITLE - 1].rstrip() + "…"


def _whole(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can hold and no file."""
    return text.encode("utf-8", "replace").decode()
