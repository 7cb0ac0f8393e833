"""Pages: one markdown file each, front matter and body; the changes that compile stages propose."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from ai_memory.errors import BadRequestError
from ai_memory.model.front import BOM, Parts, formatted, front_matter, parts, with_keys
from ai_memory.model.markdown import unfenced

__all__ = [
    "CONFLICT",
    "MACHINERY",
    "TIERS",
    "BadPagePathError",
    "Page",
    "PageChange",
    "bullets",
    "collision_key",
    "composed",
    "expiry",
    "formatted",
    "front_matter",
    "is_ledger",
    "is_page",
    "is_sealed",
    "kind_of_folder",
    "page_path",
    "parsed",
    "sealed",
    "with_keys",
    "writable_page_path",
]

#: The problem of a page in which a merge left its markers.
CONFLICT = "conflict markers of a merge are in the page"
#: Folders of pages that say what happened, or how to work: no model is shown them as what a project knows.
MACHINERY = ("sessions/", "packets/", "_lint/", "_prompts/")
TIERS = ("working", "episodic", "semantic", "procedural")

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?|\.git(\..*)?|git~[0-9]+")
_ILLEGAL = re.compile(r'[<>:"|?*\x00-\x1f\x7f\\\ud800-\udfff]')
_LEDGER = re.compile(r"log-[0-9]{4}-(0[1-9]|1[0-2])\.md")
#: At the root of a project: its manifest, and what an export makes.
_NO_PAGES = frozenset({"_meta.md", "index.md"})
_PROPOSALS = "_pending"
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")
#: In bytes. With the folders above it a path stays under the 260 units of Windows; a name has room for a suffix.
_PATH_LIMIT = 240
_NAME_LIMIT = 200

#: Folder -> the kind and the OKF type of its pages.
_FOLDERS = {
    "sessions": ("session", "Session Summary"),
    "_rules": ("rule", "Rule"),
    "gotchas": ("gotcha", "Gotcha"),
    "decisions": ("decision", "Decision"),
    "procedures": ("procedure", "Procedure"),
    "concepts": ("concept", "Concept"),
    "notes": ("note", "Note"),
    "runbooks": ("fact", "Runbook"),
    "_slots": ("slot", "Invariant"),
    "_lint": ("lint-report", "Lint Report"),
    _PROPOSALS: ("fact", "Pending Note"),
}
_ANY_FOLDER = ("fact", "Note")
_TYPE_OF_KIND = {kind: kind_type for kind, kind_type in _FOLDERS.values() if kind != "fact"} | {"fact": "Fact"}
_TIER_OF_KIND = {"session": "episodic", "procedure": "procedural"}

_HEADING = re.compile(r"^#[ \t]+(\S.*)$", re.MULTILINE)
_CLOSING_HASHES = re.compile(r"(?<=\s)#+$")
_MARKERS = [re.compile(mark, re.MULTILINE) for mark in (r"^<<<<<<< ", r"^=======\r?$", r"^>>>>>>> ")]
_SEAL = "seal"
_SEAL_LINE = re.compile(r"(?:\A|(?<=\n)) *seal: ([0-9a-f]{16})\r?\n\Z")


class BadPagePathError(BadRequestError):
    """A page path is not usable."""

    status = 422


@dataclass(frozen=True, slots=True)
class PageChange:
    """One file of a project to write: path in the project's folder, and its new text, not yet scrubbed."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """What the text of one file says.

    Attributes:
        path: in the project's folder.
        title: front `title`, else the first heading of the first level, else the file's name without `.md`.
        type: the OKF type: front `type`, else by kind, else by folder.
        kind: front `kind`, else by folder; "fact" for a folder without meaning.
        tier: front `tier` if it is one of TIERS, else by kind.
        pinned: front `pinned`; all slots are.
        tags: in their order, each once.
        summary: front `summary` or `description`, else "".
        expires_at: the moment (UTC) from which on only exact reads give it.
        front: all of the front matter.
        body: everything after the front matter, byte for byte.
        sealed: an automatic writer wrote exactly this text.
        problems: sentences about what could not be read.
    """

    path: str
    title: str
    type: str
    kind: str
    tier: str
    pinned: bool
    tags: tuple[str, ...]
    summary: str
    expires_at: datetime | None
    front: Mapping[str, object]
    body: str
    sealed: bool
    problems: tuple[str, ...]


# Paths


def page_path(path: str) -> str:
    """Return a path in a project's folder if it is safe and portable: the one gate for such paths.

    Raises:
        BadPagePathError: absolute, escaping, or not writable on every operating system.
    """
    segments = path.split("/")
    if not path or any(segment in ("", ".", "..") for segment in segments):
        raise BadPagePathError(f"page path {path!r} must be relative, without empty, '.' or '..' segments")
    for segment in segments:
        if _ILLEGAL.search(segment) or segment[-1] in ". " or _RESERVED.fullmatch(segment):
            raise BadPagePathError(f"page path {path!r} cannot be a file name on every system: {segment!r}")
    return path


def writable_page_path(path: str) -> str:
    """Return the path that a caller may write a page to, in the Unicode form NFC.

    Raises:
        BadPagePathError: not a safe path, not a markdown file, too long, or a file that the program keeps for itself.
    """
    path = page_path(unicodedata.normalize("NFC", path))
    if not path.endswith(".md") or path.endswith("/.md") or path == ".md":
        raise BadPagePathError(f"page path {path!r} must be a name that ends in '.md'")
    if len(path.encode()) > _PATH_LIMIT:
        raise BadPagePathError(f"page path {path!r} is longer than {_PATH_LIMIT} bytes: shorten it")
    if long := next((segment for segment in path.split("/") if len(segment.encode()) > _NAME_LIMIT), ""):
        raise BadPagePathError(f"page path {path!r} has a name longer than {_NAME_LIMIT} bytes: {long!r}")
    key = collision_key(path)
    if key.rpartition("/")[2] == "_meta.md" or not is_page(key):
        raise BadPagePathError(
            f"page path {path!r} is hidden, or kept for a file that ai-memory writes itself: choose another"
        )
    return path


def is_ledger(path: str) -> bool:
    """Tell whether a path in a project's folder is an event ledger: `log-YYYY-MM.md` at its root."""
    return _LEDGER.fullmatch(path) is not None


def is_page(path: str) -> bool:
    """Tell whether a path in a project's folder is a page: no manifest, ledger, index, proposal or hidden file."""
    # A name that is not UTF-8 comes from the disk and from git with half characters in it, which no database takes.
    if not path.endswith(".md") or path.startswith(".") or "/." in path or _HALF_PAIR.search(path):
        return False
    return not (path in _NO_PAGES or is_ledger(path) or path.startswith(f"{_PROPOSALS}/"))


def collision_key(path: str) -> str:
    """Give what two paths have in common that are one file on macOS or Windows."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


# Reading


def parsed(path: str, text: str) -> Page:
    """Read a page; total: what cannot be read is named in `problems` and otherwise treated as if it were not there."""
    cut = parts(text)
    front = cut.front
    by_folder, _ = _folder_of(path)
    kind = _text(front.get("kind")).lower() or by_folder
    tier = _text(front.get("tier")).lower()
    problems = [cut.problem] if cut.problem else []
    try:
        expires_at = expiry(front.get("expires_at"))
    except ValueError as error:
        expires_at = None
        problems.append(str(error))
    if _in_conflict(text):
        problems.append(CONFLICT)
    return Page(
        path=path,
        title=_text(front.get("title")) or _first_heading(cut.body) or path.rpartition("/")[2].removesuffix(".md"),
        type=_text(front.get("type")) or _type_of(path, front),
        kind=kind,
        tier=tier if tier in TIERS else _TIER_OF_KIND.get(kind, "semantic"),
        pinned=_is_true(front.get("pinned")) or path.startswith("_slots/"),
        tags=_tags(front.get("tags")),
        summary=_text(front.get("summary")) or _text(front.get("description")),
        expires_at=expires_at,
        front=front,
        body=cut.body,
        sealed=_fits(cut),
        problems=tuple(problems),
    )


def expiry(value: object) -> datetime | None:
    """Read `expires_at`: RFC 3339 (UTC when it names no zone), or a date, of which it is the end in UTC.

    Raises:
        ValueError: it is neither.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, date):
            return datetime.combine(value, time.max, UTC)
    except (ValueError, OverflowError):
        pass  # the sentence below says all
    raise ValueError(f"expires_at {str(value)[:40]!r} is neither a date (2026-12-31) nor a time (2026-12-31T10:00:00Z)")


def kind_of_folder(path: str) -> str:
    """Give the kind that a page of this path has when it names none."""
    return _folder_of(path)[0]


def _folder_of(path: str) -> tuple[str, str]:
    return _FOLDERS.get(path.partition("/")[0], _ANY_FOLDER) if "/" in path else _ANY_FOLDER


def _type_of(path: str, front: Mapping[str, object]) -> str:
    by_folder, type_of_folder = _folder_of(path)
    kind = _text(front.get("kind")).lower() or by_folder
    if kind == "slot" and _text(front.get("slot_kind")).lower() == "state":
        return "State"
    return type_of_folder if kind == by_folder else _TYPE_OF_KIND.get(kind, type_of_folder)


def _text(value: object) -> str:
    """Give a front matter value that should be a line of text; a list or a mapping is none."""
    if value is None or isinstance(value, list | dict | set | bytes):
        return ""
    return " ".join(str(value).split())


def _is_true(value: object) -> bool:
    return value is True or _text(value).lower() in ("true", "yes", "on", "1")


def _tags(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else _text(value).split(",")
    tags = (_text(item).removeprefix("#") for item in items)
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def _first_heading(body: str) -> str:
    found = _HEADING.search(unfenced(body))
    return _CLOSING_HASHES.sub("", found[1].strip()).strip() if found else ""


def _in_conflict(text: str) -> bool:
    """Tell whether a merge left its markers.

    The first one counts only outside fenced code, where a page may show what a conflict looks like; the others count
    anywhere, because one side of a conflict may open a fence that the other does not.
    """
    if "<<<<<<< " not in text:
        return False
    opening, middle, closing = _MARKERS
    found = opening.search(unfenced(text))
    found = found and middle.search(text, found.end())
    return bool(found and closing.search(text, found.end()))


# Seals


def sealed(text: str) -> str:
    """Give the text of an automatic writer with the seal that says so as the last line of its front matter."""
    cut = parts(with_keys(with_keys(text, {_SEAL: None}), {_SEAL: "open"}))
    place = cut.head.rindex(f"{_SEAL}: open")
    line = cut.head.rfind("\n", 0, place) + 1
    digest = _digest(cut.opening + cut.head[:line] + cut.closing + cut.body)
    return f"{cut.opening}{cut.head[:place]}{_SEAL}: {digest}{cut.line_end}{cut.closing}{cut.body}"


def is_sealed(text: str) -> bool:
    """Tell whether an automatic writer wrote this text and nobody changed it; no other may be overwritten by one."""
    return _fits(parts(text))


def _fits(cut: Parts) -> bool:
    line = _SEAL_LINE.search(cut.head)
    if not line:
        return False
    return line[1] == _digest(cut.opening + cut.head[: line.start()] + cut.closing + cut.body)


def _digest(text: str) -> str:
    text = text.removeprefix(BOM).replace("\r\n", "\n")
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# Writing


def composed(
    old: str | None,
    body: str,
    *,
    path: str,
    title: str | None = None,
    kind: str | None = None,
    tier: str | None = None,
    tags: Sequence[str] | None = None,
    pinned: bool | None = None,
    expires_at: str | None = None,
) -> str:
    """Compose what a caller's write of a page stores; it always has a `type` and never a seal.

    A body that begins with front matter brings all of it: it is kept as written and only what was given beside it is
    set. Any other body gets the front matter of the page that it replaces, with what was given set in it, and that
    page's line ends if they are CRLF.

    Args:
        old: the text that the page has now, None for a new page.
        body: the new text.
        path: where, which decides on the type when nothing else does.
        title, kind, tier, tags, pinned, expires_at: front matter keys; None is not given.
    """
    text = body
    own = parts(body)
    before = parts(old or "")
    if not own.front and before.front:
        lines = re.sub(r"\r?\n", before.line_end, own.body) if before.line_end == "\r\n" else own.body
        text = before.opening + before.head + before.closing + lines
    given: dict[str, object] = {
        "title": _plain(title),
        "type": None,
        "kind": _plain(kind),
        "tier": _plain(tier),
        "tags": None if tags is None else [str(tag) for tag in tags],
        "pinned": pinned,
        "expires_at": _plain(expires_at),
    }
    keys = {key: value for key, value in given.items() if value is not None or key == "type"}
    front = front_matter(text) | {key: value for key, value in keys.items() if value is not None}
    stale = not own.front and _text(front.get("kind")) != _text(before.front.get("kind"))
    keys["type"] = ("" if stale else _text(front.get("type"))) or _type_of(path, front)
    return with_keys(text, {**keys, _SEAL: None})


def bullets(items: Sequence[str]) -> str:
    """Write a markdown list, one line an item."""
    return "".join(f"- {item}\n" for item in items)


def _plain(text: str | None) -> str | None:
    """Give a text of exactly the type that YAML knows how to write."""
    return None if text is None else str(text)
