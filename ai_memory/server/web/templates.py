"""Templates: the jinja2 environment over `web/`, the words that they share, and the static files beside them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

import jinja2
from markupsafe import Markup

from ai_memory.capture.plain import harmless
from ai_memory.model.handoff import stamp

#: Seconds, and the unit that they are one of.
_UNITS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))


def written(template: str, values: Mapping[str, object]) -> bytes:
    """Write a page. What it is given is shown as text, whatever it holds, except `Markup`."""
    return _environment().get_template(template).render(values).encode(errors="replace")


def folder() -> Path:
    """Find templates and static files: in an installed package, or in the checkout."""
    package = Path(__file__).resolve().parent.parent.parent
    bundled = package / "_bundle" / "web"
    return bundled if bundled.is_dir() else package.parent / "web"


@cache
def static_files() -> Mapping[str, bytes]:
    """Read all static files, by their names below `static/`. They do not change while the program runs."""
    root = folder() / "static"
    files = sorted(file for file in root.rglob("*") if file.is_file())
    return MappingProxyType({file.relative_to(root).as_posix(): file.read_bytes() for file in files})


@cache
def digest(name: str) -> str:
    """Give a few signs of the content of a static file, "" for one that is not there."""
    data = static_files().get(name)
    return "" if data is None else sha256(data).hexdigest()[:12]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder()),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
    )
    environment.filters |= {
        "ago": ago,
        "stamp": stamp,
        "exact": exact,
        "size": size,
        "many": many,
        "number": number,
        "lasted": lasted,
        "within": within,
    }
    return environment


def _harmless(value: object) -> object:
    """Take out of a text what a reader would act upon; a title may hold marks that turn what stands beside it."""
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value


# Words


def ago(at: datetime, now: datetime) -> str:
    """Say how long ago something was: "3 hours ago"; what is to come is "in 3 hours"."""
    seconds = (now - at).total_seconds()
    for length, unit in _UNITS:
        if count := int(abs(seconds) // length):
            told = many(count, unit)
            return f"{told} ago" if seconds > 0 else f"in {told}"
    return "just now"


def exact(at: datetime) -> str:
    """Write a time for people: "2026-11-21 10:00 UTC"."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def many(count: int, noun: str, plural: str = "") -> str:
    """Say how many there are: "1 page", "2 pages"."""
    return f"{number(count)} {noun if count == 1 else plural or noun + 's'}"


def number(count: int) -> str:
    """Write a number in groups of three."""
    return f"{count:,}"


def size(count: int) -> str:
    """Write a number of bytes: "1.4 MB"."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def lasted(length: timedelta) -> str:
    """Say how long something took: "42 s", "7 min", "2 h 05 min"."""
    seconds = int(length.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def within(path: str, folder: str) -> str:
    """Write a path as seen from a folder: one below it without the folder, any other whole."""
    return path.removeprefix(f"{folder.rstrip('/')}/") if folder else path
