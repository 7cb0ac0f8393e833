"""Marker files: reading `.ai-memory.toml` and saying exactly what is wrong with one."""

from __future__ import annotations

import json

from .remote import normalise_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off", "")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_MOST_PATTERNS = 128
_CAPTURE_KEYS = ("ignore_paths", "capture_prompts", "capture_assistant")
_LONGEST_PATTERN = 1024


class MarkerError(ValueError):
    """A marker file cannot be used."""


class Marker:
    """What one marker file says.

    Attributes:
        path: the file.
        routing: wire parameter -> value, for the keys that it declares.
        ignore_paths: patterns of `[capture]`.
        prompts: whether the text of prompts may leave this tree.
        answers: whether the text of answers may.
        has_capture: whether there is a `[capture]` section at all.
    """

    __slots__ = ("answers", "has_capture", "ignore_paths", "path", "prompts", "routing")

    def __init__(self, path: str) -> None:
        self.path = path
        self.routing: dict[str, str] = {}
        self.ignore_paths: tuple[str, ...] = ()
        self.prompts = True
        self.answers = True
        self.has_capture = False


def read_marker(path: str, text: str | None) -> Marker:
    """Read a marker.

    Raises:
        MarkerError: the file is too large, unreadable, not TOML, or has a key or value that means nothing here;
            the message names file, line and remedy.
    """
    table = _toml(path, text)
    marker = Marker(path)
    for section, keys in _flat(table):
        for key, value in keys.items():
            place = f"{path}, line {_line(text or '', key)}: {f'[{section}] ' if section else ''}{key}"
            if section == "capture":
                _capture(marker, key, value, place)
            elif (section, key) in _ROUTING:
                parameter, reader = _ROUTING[section, key]
                marker.routing[parameter] = reader(value, place)
            else:
                raise MarkerError(f"{place} is not a key of a marker; known are {_known()}")
        marker.has_capture = marker.has_capture or section == "capture"
    return marker


def routing(markers: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """Give the wire parameters of the nearest marker that declares any.

    Raises:
        MarkerError: a marker up to there cannot be used.
    """
    for path, text in markers:
        found = read_marker(path, text).routing
        if found:
            # A flag that is declared off decides the walk, but is not sent.
            return {name: value for name, value in found.items() if value}
    return {}


def _toml(path: str, text: str | None) -> dict[str, Any]:
    if text is None:
        raise MarkerError(f"{path} cannot be read or is larger than 64 KiB; make it readable and smaller")
    try:
        import tomllib
    except ImportError:
        raise MarkerError(
            f"{path} cannot be read by this Python; run `ai-memory install-hooks` again to use a newer one"
        ) from None
    try:
        # Without the line end the parser says "end of document" and names no line.
        return tomllib.loads(text + "\n")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MarkerError(f"{path} is not valid TOML: {error}; correct the line") from None


def _flat(table: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    top = {key: value for key, value in table.items() if not isinstance(value, dict)}
    return [("", top), *((key, value) for key, value in table.items() if isinstance(value, dict))]


def _line(text: str, key: str) -> int:
    for number, line in enumerate(text.splitlines(), 1):
        if line.partition("=")[0].strip().strip("\"'").rpartition(".")[2] == key or line.strip().startswith(f"[{key}"):
            return number
    return 1


def _known() -> str:
    names = [f"[{section}] {key}" if section else key for section, key in _ROUTING]
    return ", ".join([*names, *(f"[capture] {key}" for key in _CAPTURE_KEYS)])


def _capture(marker: Marker, key: str, value: Any, place: str) -> None:
    if key == "ignore_paths":
        right = isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value)
        if not right or len(value) > _MOST_PATTERNS or any(len(item) > _LONGEST_PATTERN for item in value):
            raise MarkerError(
                f"{place} must be a list of at most {_MOST_PATTERNS} patterns of at most {_LONGEST_PATTERN} characters"
            )
        marker.ignore_paths = tuple(value)
    elif key == "capture_prompts":
        marker.prompts = bool(_flag(value, place))
    elif key == "capture_assistant":
        marker.answers = bool(_flag(value, place))
    else:
        raise MarkerError(f"{place} is not a key of a marker; known are {_known()}")


def _name(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value or not set(value) <= _NAME or value[0] in "._-":
        raise MarkerError(
            f"{place} = {value!r} is not a usable name: use lower-case letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    return value


def _strategy(value: Any, place: str) -> str:
    if value not in ("repo-root", "repo_root", "basename"):
        raise MarkerError(f'{place} must be "repo-root" or "basename", not {value!r}')
    return str(value).replace("_", "-")


def _flag(value: Any, place: str) -> str:
    word = str(value).strip().lower()
    if not isinstance(value, (str, bool, int)) or word not in _TRUE + _FALSE:
        raise MarkerError(f"{place} must be true or false, not {value!r}")
    return "1" if word in _TRUE else ""


def _count(value: Any, place: str) -> str:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise MarkerError(f"{place} must be a whole number above zero, not {value!r}")
    return str(value)


def _identity(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 512 or not value.isprintable():
        raise MarkerError(f'{place} must be one line such as "github.com/acme/shop", not {value!r}')
    return normalise_remote(value) or value.strip()


def _style(value: Any, place: str) -> str:
    if value not in ("path", "host_path"):
        raise MarkerError(f'{place} must be "path" or "host_path", not {value!r}')
    return str(value)


def _aliases(value: Any, place: str) -> str:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise MarkerError(f"{place} must be a list of names, not {value!r}")
    return json.dumps(value, separators=(",", ":")) if value else ""


_ROUTING = {
    ("", "workspace"): ("workspace", _name),
    ("", "project"): ("project", _name),
    ("", "project_strategy"): ("project_strategy", _strategy),
    ("", "drop_subagent_captures"): ("drop_subagent", _flag),
    ("", "identity"): ("identity", _identity),
    ("", "identity_style"): ("identity_style", _style),
    ("", "aliases"): ("aliases", _aliases),
    ("recall", "default_global"): ("default_global", _flag),
    ("briefing", "inject_on_session_start"): ("briefing", _flag),
    ("briefing", "max_chars"): ("briefing_budget", _count),
}
