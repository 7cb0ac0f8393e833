"""Core Memory Packets: what one agent leaves for another in at most 32 KiB of JSON. Parsing, canonical form, scan."""

from __future__ import annotations

import calendar
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import NoReturn, Protocol, cast

from ai_memory.errors import BadRequestError
from ai_memory.model.handoff import stamp
from ai_memory.model.ids import ulid
from ai_memory.model.redaction import Finding, scan_text

__all__ = [
    "PACKET_LIMIT",
    "VERSIONS",
    "About",
    "Attempt",
    "BadPacketError",
    "Decision",
    "Finding",
    "Method",
    "Packet",
    "Provenance",
    "canonical",
    "example",
    "filled_in",
    "in_utc",
    "page_form",
    "parse",
    "scan",
    "scan_text",
    "schema",
    "stored_form",
]

VERSIONS = ("0.1", "0.2")
#: In bytes, of a packet as it travels.
PACKET_LIMIT = 32_768

#: How deep JSON may nest. No rule looks deeper than four levels, and Python's parser ends at some hundred.
_DEPTH = 10_000
_SHALLOW = 32
#: A text that does not end goes to the end: to try it again at each of its quotes would take seconds.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
#: What may be a secret of a shape that nobody knows.
_TOKEN = re.compile(r"([\w+/=.-]{4})(?=[\w+/=.-]*\d)[\w+/=.-]{16,}")
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")
_HTML = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
_TIME = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)T(?P<hour>\d\d?):(?P<minute>\d\d):(?P<second>\d\d)"
    r"(?:[.,](?P<fraction>\d+))?(?:Z|(?P<sign>[+-])(?P<hours>\d\d):(?P<minutes>\d\d))",
    re.ASCII,
)


class BadPacketError(BadRequestError):
    """These bytes are no packet.

    Attributes:
        stage: "size", "json", "not-object", "version-missing", "version-unsupported", "schema" or "created_at-time".
        at: JSON pointer of what breaks a rule of the schema, "" for the packet itself.
        keyword: the rule ("required", "minLength", "maxLength", "additionalProperties", "enum", ...), "" outside of the
            schema.
    """

    def __init__(self, message: str, *, stage: str, at: str = "", keyword: str = "") -> None:
        super().__init__(message)
        self.stage, self.at, self.keyword = stage, at, keyword


@dataclass(frozen=True, slots=True)
class About:
    """The project that a packet is about; both may be ""."""

    name: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and why."""

    what: str
    why: str
    consequences: str = ""
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """A recipe that can be used again."""

    name: str
    when_applicable: str
    how: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried; outcome is "succeeded", "failed" or "partial", confidence "low", "medium", "high" or ""."""

    tried: str
    outcome: str
    learned: str = ""
    confidence: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who wrote a packet, from what."""

    author_model: str = ""
    author_human: str = ""
    source_hash: str = ""
    confidence: str = ""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet.

    Attributes:
        ltm_version: "0.1" or "0.2".
        id: 10 to 64 code points.
        created_at: RFC 3339 as canonical form has it.
        goal, next_step: 1 to 1024 code points.
        project, provenance: None where the packet has none ({} is kept).
    """

    ltm_version: str
    id: str
    created_at: str
    goal: str
    next_step: str
    parent_id: str = ""
    project: About | None = None
    success_criteria: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()
    methods: tuple[Method, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    open_questions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    provenance: Provenance | None = None


# Rules of the schema: each reads what JSON held into what a packet holds, and writes it back.


class _Rule(Protocol):
    def read(self, value: object, at: str) -> object:
        """Give what a packet holds for what JSON held at this place, or raise `BadPacketError`."""

    def write(self, value: object) -> object:
        """Give what JSON holds for what a packet holds."""

    def schema(self) -> dict[str, object]:
        """Give the rule as JSON schema."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text; lengths are in code points."""

    most: int = 0
    least: int = 0
    choices: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    form: str = ""

    def read(self, value: object, at: str) -> str:
        """Check and convert."""
        if not isinstance(value, str):
            _wrong_type(value, at, "string")
        text = _whole(value)
        if self.choices and text not in self.choices:
            _broken(at, "enum", f"{_excerpt(text)} is none of {', '.join(self.choices)}")
        if len(text) < self.least:
            _broken(at, "minLength", f"it has {len(text)} characters, at least {self.least} are needed")
        if self.most and len(text) > self.most:
            _broken(at, "maxLength", f"it has {len(text)} characters, {self.most} are allowed: shorten it")
        if self.pattern and not self.pattern.fullmatch(text):
            _broken(at, "pattern", f"{_excerpt(text)} is not {self.form}")
        return text

    def write(self, value: object) -> object:
        """Convert back."""
        return value

    def schema(self) -> dict[str, object]:
        """Tell the limits."""
        told = {
            "minLength": self.least,
            "maxLength": self.most,
            "enum": list(self.choices),
            "pattern": self.pattern and f"^{self.pattern.pattern}$",
            "description": self.form,
        }
        return {"type": "string", **{word: value for word, value in told.items() if value}}


@dataclass(frozen=True, slots=True)
class _Flag:
    """True or false."""

    def read(self, value: object, at: str) -> bool:
        """Check and convert."""
        if not isinstance(value, bool):
            _wrong_type(value, at, "boolean")
        return value

    def write(self, value: object) -> object:
        """Convert back."""
        return value

    def schema(self) -> dict[str, object]:
        """Tell the type."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class _List:
    """Items of one rule."""

    most: int
    item: _Rule

    def read(self, value: object, at: str) -> tuple[object, ...]:
        """Check and convert."""
        if not isinstance(value, list):
            _wrong_type(value, at, "array")
        if len(value) > self.most:
            _broken(
                at, "maxItems", f"it has {len(value)} items, {self.most} are allowed: leave the least important out"
            )
        return tuple(self.item.read(item, f"{at}/{index}") for index, item in enumerate(value))

    def write(self, value: object) -> object:
        """Convert back."""
        return [self.item.write(item) for item in cast("tuple[object, ...]", value)]

    def schema(self) -> dict[str, object]:
        """Tell the items and how many."""
        return {"type": "array", "maxItems": self.most, "items": self.item.schema()}


@dataclass(frozen=True, slots=True)
class _Object:
    """An object with known keys, in the order of the canonical form."""

    make: Callable[..., object]
    fields: Mapping[str, _Rule]
    required: tuple[str, ...] = ()

    def read(self, value: object, at: str) -> object:
        """Check and convert."""
        if not isinstance(value, dict):
            _wrong_type(value, at, "object")
        if missing := [name for name in self.required if name not in value]:
            _broken(at, "required", f"missing {', '.join(missing)}: add {'it' if len(missing) == 1 else 'them'}")
        found = {name: rule.read(value[name], f"{at}/{name}") for name, rule in self.fields.items() if name in value}
        for name in value:
            if name not in self.fields:
                _broken(at, "additionalProperties", f"unknown field {_excerpt(_whole(name))}: remove it")
        return self.make(**found)

    def write(self, value: object) -> object:
        """Convert back."""
        written = {}
        for name, rule in self.fields.items():
            part = getattr(value, name)
            if name in self.required or part not in ("", (), None, False):
                written[name] = rule.write(part)
        return written

    def schema(self) -> dict[str, object]:
        """Tell the keys."""
        fields = {name: rule.schema() for name, rule in self.fields.items()}
        required = {"required": list(self.required)} if self.required else {}
        return {"type": "object", "additionalProperties": False, "properties": fields, **required}


def _broken(at: str, keyword: str, why: str) -> NoReturn:
    place = f"at {at}" if at else "at the packet itself"
    raise BadPacketError(f"schema violation: {place}: {keyword}: {why}", stage="schema", at=at, keyword=keyword)


def _wrong_type(value: object, at: str, wanted: str) -> NoReturn:
    got = {type(None): "null", bool: "boolean", int: "number", str: "string", list: "array", dict: "object"}[
        type(value)
    ]
    advice = ": leave the field out instead" if value is None else ""
    _broken(at, "type", f"it is {got}, not {wanted}{advice}")


def _whole(text: str) -> str:
    """Replace what escapes can make and no UTF-8 can hold: half a pair."""
    return _HALF_PAIR.sub("\ufffd", text)


def _excerpt(text: str) -> str:
    """Quote the beginning of a text that may hold a secret."""
    if found := scan_text(text):
        return f"a value with {found[0]}"
    told = _TOKEN.sub(r"\1…", text[:80])
    return json.dumps(told if len(told) <= 40 and len(text) <= 80 else f"{told[:40]}…", ensure_ascii=False)


def _without(rules: Mapping[str, _Rule], *names: str) -> dict[str, _Rule]:
    return {name: rule for name, rule in rules.items() if name not in names}


_LINE = _Text(1024)
_ID = _Text(64, 10)
_GOAL = _Text(1024, 1)
_CONFIDENCE = _Text(choices=("low", "medium", "high"))
_TAG = _Text(
    pattern=re.compile("[a-z0-9][a-z0-9-]{0,31}"), form="1 to 32 of a-z, 0-9 and hyphen that begin with no hyphen"
)
_NAME = _Text(
    128, pattern=re.compile("[a-z0-9][a-z0-9-]*"), form="a name of a-z, 0-9 and hyphen that begins with no hyphen"
)
_HASH = _Text(pattern=re.compile("sha256:[a-f0-9]{64}"), form='"sha256:" and 64 digits of lower-case hexadecimal')
_DECISION: dict[str, _Rule] = {"what": _LINE, "why": _LINE, "consequences": _LINE, "locked": _Flag()}
_METHOD: dict[str, _Rule] = {"name": _NAME, "when_applicable": _LINE, "how": _Text(2048)}
_ATTEMPT: dict[str, _Rule] = {
    "tried": _LINE,
    "outcome": _Text(choices=("succeeded", "failed", "partial")),
    "learned": _LINE,
    "confidence": _CONFIDENCE,
}
_PROVENANCE: dict[str, _Rule] = {
    "author_model": _Text(128),
    "author_human": _Text(128),
    "source_hash": _HASH,
    "confidence": _CONFIDENCE,
}
_PACKET: dict[str, _Rule] = {
    "ltm_version": _Text(),
    "id": _ID,
    "parent_id": _ID,
    "created_at": _Text(),
    "project": _Object(About, {"name": _Text(128), "ref": _Text(256)}),
    "goal": _GOAL,
    "success_criteria": _List(16, _LINE),
    "constraints": _List(32, _LINE),
    "decisions": _List(64, _Object(Decision, _DECISION, ("what", "why"))),
    "methods": _List(32, _Object(Method, _METHOD, ("name", "when_applicable", "how"))),
    "attempts": _List(64, _Object(Attempt, _ATTEMPT, ("tried", "outcome"))),
    "open_questions": _List(32, _LINE),
    "next_step": _GOAL,
    "tags": _List(16, _TAG),
    "provenance": _Object(Provenance, _PROVENANCE),
}
_NEEDED = ("ltm_version", "id", "created_at", "goal", "next_step")
_NEWEST = _Object(Packet, _PACKET, _NEEDED)
_FIRST = _Object(
    Packet,
    _without(_PACKET, "parent_id", "success_criteria", "methods")
    | {
        "decisions": _List(64, _Object(Decision, _without(_DECISION, "consequences"), ("what", "why"))),
        "attempts": _List(64, _Object(Attempt, _without(_ATTEMPT, "confidence"), ("tried", "outcome"))),
    },
    _NEEDED,
)
_SCHEMAS = {"0.1": _FIRST, "0.2": _NEWEST}
_SUPPORTED = ", ".join(VERSIONS)


# Reading


def parse(raw: bytes) -> Packet:
    """Read a packet as it came.

    Raises:
        BadPacketError: it is none; the first thing that is wrong, in the order size, JSON, object, version, schema,
            created_at.
    """
    if len(raw) > PACKET_LIMIT:
        raise BadPacketError(f"packet is {len(raw)} bytes, max is {PACKET_LIMIT}: shorten it", stage="size")
    # One sign for each byte that is no UTF-8, which is what the reference makes of it.
    text = _HALF_PAIR.sub("\ufffd", raw.decode("utf-8", "surrogateescape"))
    found = _json(text)
    if not isinstance(found, dict):
        raise BadPacketError("packet must be a JSON object", stage="not-object")
    version = found.get("ltm_version")
    if not isinstance(version, str) or not version:
        raise BadPacketError(f"missing required field 'ltm_version' (supported: {_SUPPORTED})", stage="version-missing")
    if version not in _SCHEMAS:
        raise BadPacketError(
            f"unsupported ltm_version {_excerpt(_whole(version))} (supported: {_SUPPORTED}): "
            "write the packet in one of these, or update the program that reads it",
            stage="version-unsupported",
        )
    packet = cast("Packet", _SCHEMAS[version].read(found, ""))
    packet = replace(packet, created_at=_canonical_time(packet.created_at, text))
    # What is no UTF-8 takes three bytes where it was one.
    if len(text.encode()) >= PACKET_LIMIT and (length := len(_shortest(packet).encode())) > PACKET_LIMIT:
        raise BadPacketError(f"packet is {length} bytes, max is {PACKET_LIMIT}: shorten it", stage="size")
    return packet


def _json(text: str) -> object:
    try:
        try:
            return _loaded(text)
        except RecursionError:
            return _loaded(_flattened(text))
    except ValueError as error:
        raise BadPacketError(f"invalid json: {error}", stage="json") from None


def _loaded(text: str) -> object:
    return json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_refused)


def _number(text: str) -> int:
    """Check a number. No rule of the schema takes one, so that it does not matter which."""
    if math.isinf(float(text)):
        raise ValueError(f"the number {text[:20]} is too large")
    return 0


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _flattened(text: str) -> str:
    """Put 0 in the place of everything that is nested too deep to be of use, once it was found to be JSON."""
    open_texts: list[list[str]] = [[]]
    done = 0
    for token in _BRACKETS.finditer(text):
        sign = token[0]
        if sign not in "[]{}":
            continue
        if sign in "[{":
            open_texts[-1].append(text[done : token.start()])
            open_texts.append([sign])
            if len(open_texts) > _DEPTH + 1:
                raise ValueError("exceeded max depth")
        elif len(open_texts) > 1:
            inner = "".join([*open_texts.pop(), text[done : token.end()]])
            if len(open_texts) % _SHALLOW == 0:
                _loaded(inner)
                inner = "0"
            open_texts[-1].append(inner)
        else:
            raise ValueError("a bracket is closed that was not opened")
        done = token.end()
    if len(open_texts) > 1:
        raise ValueError("a bracket is not closed")
    return "".join([*open_texts[0], text[done:]])


def _canonical_time(said: str, text: str) -> str:
    found = _TIME.fullmatch(said)
    # The reference reads the time as it stands in the JSON: an escape in it is no time.
    if not found or f'"{said}"' not in text or not _is_time(found):
        raise BadPacketError(
            f"created_at {_excerpt(said)} is no RFC 3339 time with a zone: write it like 2026-11-21T10:00:00Z",
            stage="created_at-time",
        )
    hours, minutes = int(found["hours"] or 0), int(found["minutes"] or 0)
    # No zone can be written with 25 hours: that one stays as it is.
    hours, minutes = (hours + 1, 0) if minutes == 60 and hours < 24 else (hours, minutes)
    zone = f"{found['sign']}{hours:02}:{minutes:02}" if hours or minutes else "Z"
    fraction = (found["fraction"] or "")[:9].rstrip("0")
    hour = found["hour"].rjust(2, "0")
    day = f"{found['year']}-{found['month']}-{found['day']}"
    return f"{day}T{hour}:{found['minute']}:{found['second']}{'.' if fraction else ''}{fraction}{zone}"


def _is_time(found: re.Match[str]) -> bool:
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    return (
        1 <= month <= 12
        and 1 <= day <= calendar.monthrange(year, month)[1]
        and int(found["hour"]) < 24
        and int(found["minute"]) < 60
        and int(found["second"]) < 60
        # Zones of 24 hours or 60 minutes are written by some, and read by the reference.
        and int(found["hours"] or 0) <= 24
        and int(found["minutes"] or 0) <= 60
    )


def in_utc(created_at: str) -> str:
    """Give a packet's time in UTC with nine digits of fraction: as texts, two of them are in the order of the moments.

    Args:
        created_at: as a packet has it.
    """
    found = _TIME.fullmatch(created_at)
    if not found:
        raise ValueError(f"{created_at!r} is no packet's time")
    year = int(found["year"])
    # Years from 0 to 9999 there are, and four hundred of them are one cycle.
    cycle = 2000 + year % 400
    day = f"{cycle}-{found['month']}-{found['day']}"
    local = datetime.fromisoformat(f"{day}T{found['hour'].rjust(2, '0')}:{found['minute']}:{found['second']}Z")
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    utc = local + offset if found["sign"] == "-" else local - offset
    fraction = (found["fraction"] or "")[:9].ljust(9, "0")
    year += utc.year - cycle
    # As a text the year 10000 is before the year 9999.
    return f"{year:04}-{utc:%m-%dT%H:%M:%S}.{fraction}Z" if year <= 9999 else "9999-12-31T23:59:59.999999999Z"


# Writing


def canonical(packet: Packet) -> str:
    """Write a packet as the reference stores it: indented by two, keys in a fixed order, no end of line at its end."""
    return _indented(packet).translate(_HTML)


def stored_form(packet: Packet) -> str:
    """Write a packet as it is given out: canonical, or where that is over the limit the shortest equal."""
    return forms(packet)[0]


def page_form(packet: Packet) -> str:
    """Write a packet as its page has it: like `stored_form`, but signs of HTML stand as they are.

    A person reads it, and so does the scrubber, which knows `password=<yours>` for what it is.
    """
    return forms(packet)[1]


def forms(packet: Packet) -> tuple[str, str]:
    """Write a packet in both forms, `stored_form` and `page_form`, for little more than the cost of one."""
    page = _indented(packet)
    stored, page = (
        text if len(text.encode()) <= PACKET_LIMIT else _shortest(packet) for text in (page.translate(_HTML), page)
    )
    return stored, page


def _indented(packet: Packet) -> str:
    return json.dumps(_NEWEST.write(packet), ensure_ascii=False, indent=2)


def _shortest(packet: Packet) -> str:
    return json.dumps(_NEWEST.write(packet), ensure_ascii=False, separators=(",", ":"))


def schema() -> dict[str, object]:
    """Give the JSON schema of a packet of the newest version."""
    return _NEWEST.schema()


def filled_in(fields: Mapping[str, object], now: datetime) -> dict[str, object]:
    """Give the fields of a new packet with those that its writer need not know: version, id and time.

    Args:
        fields: as they were written; what is there stays.
        now: the present, with a zone.
    """
    return {"ltm_version": VERSIONS[-1], "id": ulid(now), "created_at": stamp(now.astimezone(UTC)), **fields}


def example() -> str:
    """Give the sample packet, as JSON."""
    return resources.files("ai_memory.model").joinpath("example_packet.json").read_text("utf-8")


# What may not travel


def scan(packet: Packet, *, strict: bool = False) -> list[Finding]:
    """Find what may not travel in a packet.

    Args:
        packet: what was parsed.
        strict: look at the fields and for the categories of the reference, and at nothing else.
    """
    texts = [*_prose(packet), *(() if strict else _labels(packet))]
    return [finding for field, text in texts for finding in scan_text(text, strict=strict, field=field)]


def _prose(packet: Packet) -> Iterator[tuple[str, str]]:
    yield "goal", packet.goal
    yield "next_step", packet.next_step
    yield from _items("success_criteria", packet.success_criteria)
    yield from _items("constraints", packet.constraints)
    for i, decision in enumerate(packet.decisions):
        yield f"decisions[{i}].what", decision.what
        yield f"decisions[{i}].why", decision.why
        yield f"decisions[{i}].consequences", decision.consequences
    for i, method in enumerate(packet.methods):
        yield f"methods[{i}].when_applicable", method.when_applicable
        yield f"methods[{i}].how", method.how
    for i, attempt in enumerate(packet.attempts):
        yield f"attempts[{i}].tried", attempt.tried
        yield f"attempts[{i}].learned", attempt.learned
    yield from _items("open_questions", packet.open_questions)


def _labels(packet: Packet) -> Iterator[tuple[str, str]]:
    yield "id", packet.id
    yield "parent_id", packet.parent_id
    yield from ((f"methods[{i}].name", method.name) for i, method in enumerate(packet.methods))
    yield from _items("tags", packet.tags)
    if packet.project:
        yield "project.name", packet.project.name
        yield "project.ref", packet.project.ref
    if packet.provenance:
        yield "provenance.author_model", packet.provenance.author_model
        yield "provenance.author_human", packet.provenance.author_human


def _items(name: str, items: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    yield from ((f"{name}[{index}]", item) for index, item in enumerate(items))
