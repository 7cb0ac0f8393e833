"""JSON without the `json` package, whose import costs half of a hook's time: the C scanner that it wraps."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    from _json import encode_basestring_ascii as quote
    from _json import make_scanner
except ImportError:  # not CPython
    from json.encoder import encode_basestring_ascii as quote
    from json.scanner import make_scanner

_BLANK = " \t\r\n\0"


class NotJsonError(ValueError):
    """The text is not one JSON value."""


def _no_constant(name: str) -> None:
    raise NotJsonError(f"{name} is not JSON")


class _Rules:
    """What the scanner asks for. Not strict: some shells send raw control characters in a string."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_no_constant)
    # Only the scanner written in Python reads these.
    memo: dict[str, str] = {}  # noqa: RUF012


def loads(text: str) -> Any:
    """Read one JSON value; white space and NUL bytes around it do not count.

    Raises:
        NotJsonError: it is not JSON, is cut short, goes on after the value, or is nested too deeply.
    """
    text = text.strip(_BLANK)
    if not text:
        raise NotJsonError("it is empty")
    rules = _python_rules() if make_scanner.__module__ == "json.scanner" else _Rules()
    try:
        value, end = _scanned(rules, text)
    except StopIteration:
        raise NotJsonError("a value is missing") from None
    except RecursionError:
        raise NotJsonError("it is nested too deeply") from None
    except ValueError as error:
        raise NotJsonError(str(error)) from None
    if end != len(text):
        raise NotJsonError(f"it goes on after the value, at character {end}")
    return value


def _scanned(rules: Any, text: str) -> tuple[Any, int]:
    try:
        return make_scanner(rules)(text, 0)
    except SystemError:
        # Before Python 3.12 the C scanner raises its error through this module, and breaks when nobody imported it.
        import json.decoder  # noqa: F401

        return make_scanner(rules)(text, 0)


def _python_rules() -> Any:
    from json import JSONDecoder

    return JSONDecoder(strict=False, parse_constant=_no_constant)


def dumps(value: Any) -> str:
    """Write text, whole numbers, booleans, None, lists and dicts as ASCII JSON without blanks."""
    if isinstance(value, str):
        return quote(value)
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join([quote(key) + ":" + dumps(item) for key, item in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    raise TypeError(f"{type(value).__name__} is not written here")
