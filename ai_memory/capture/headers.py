"""Credentials in HTTP headers, in cookies and in signed URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ai_memory.capture.looks import is_identifier, is_placeholder, is_random, is_reference
from ai_memory.capture.shapes import Span
from ai_memory.capture.written import is_basic

#: The kind of a span that was judged as a whole and holds no secret: names inside it need no look of their own.
NOTHING = ""

# Each pattern reads no more of a value than is needed to judge it: values that turn out to be none are read again
# from every name inside them, and a long one would be read quadratically.
_HEADER = re.compile(
    r"auth(?:orization|entication)\\*[\"'`\])]{0,2}[ \t]{0,4}(?:=>|[:=]|(?P<comma>,))\s{0,4}(?:[rbf]{0,2}\\*[\"'`])?"
    r"(?:(?P<list>aws4-[\w-]+|digest|oauth|hawk)[ \t]+(?P<rest>[^\n]{8,1000})"
    r"|(?P<scheme>[A-Za-z][\w-]{2,20})[ \t]+(?P<value>[^\s\"'`,;\\]{6,300})|(?P<plain>[^\s\"'`,;\\]{8,300}))",
    re.IGNORECASE,
)
_BEARER = re.compile(r"bearer(?:[ \t:=]|%20){1,4}\\*[\"']?(?P<value>[A-Za-z0-9._~+/=%|:-]{8,300})", re.IGNORECASE)
_BASIC = re.compile(r"basic[ \t]{1,4}(?P<value>[A-Za-z0-9+/_-]{8,1000}={0,2})", re.IGNORECASE)
_COOKIE = re.compile(
    r"cookie\\*[\"'`\])]{0,2}[ \t]{0,4}(?:=>|[:=,])\s{0,4}\\*[\"'`]?(?P<value>[\w.%$-]{1,128}=[^\n\"'`\\]{6,})",
    re.IGNORECASE,
)
_COOKIE_PAIR = re.compile(r"=([^\s;,=]{8,300})")
_PROOF = re.compile(r"(?:signature|response|mac)\\?[\"']?=", re.IGNORECASE)
_VALUE_REST = re.compile(r"[^\s\"'`,;\\]*")
_TOKEN_REST = re.compile(r"[A-Za-z0-9._~+/=%|:-]*")
_SIGNATURE = re.compile(r"sig(?:nature)?=(?P<value>[A-Za-z0-9%+/_=-]{20,300})", re.IGNORECASE)


def authorizations(text: str, position: int) -> Iterator[Span]:
    """Find the value of an `Authorization` header, in any notation."""
    match = _HEADER.match(text, position)
    if not match or (match["comma"] and text[max(0, position - 24) : position].rstrip("Proxy-\\\"'`")[-1:] != "("):
        return
    if match["list"]:
        if _PROOF.search(match["rest"]):
            end = text.find("\n", match.end())
            yield match.start("rest"), len(text) if end < 0 else end, "authorization"
        return
    group = "value" if match["value"] else "plain"
    value = match[group]
    if match["value"] and match["scheme"].lower() == "basic" and not is_basic(value):
        return
    if _is_credential(value):
        yield match.start(group), _end_of(_VALUE_REST, text, match.end(group)), "authorization"


def bearers(text: str, position: int) -> Iterator[Span]:
    """Find what follows `Bearer`, wherever that stands."""
    match = _BEARER.match(text, position)
    if match and _is_credential(match["value"]):
        yield match.start("value"), _end_of(_TOKEN_REST, text, match.end("value")), "bearer-token"


def basics(text: str, position: int) -> Iterator[Span]:
    """Find what follows `Basic` and is a login in base64."""
    match = _BASIC.match(text, position)
    if match and is_basic(match["value"]):
        yield match.start("value"), _end_of(_TOKEN_REST, text, match.end("value")), "basic-auth"


def _end_of(rest: re.Pattern[str], text: str, position: int) -> int:
    """Give where a value really ends of which enough was read to judge it."""
    match = rest.match(text, position)
    return match.end() if match else position


def _is_credential(value: str) -> bool:
    value = value.rstrip(".,")
    if len(value) < 8 or is_reference(value) or is_placeholder(value) or "(" in value or value.startswith("{"):
        return False
    if is_identifier(value) and not any(map(str.isdigit, value)):
        return is_random(value)
    return is_random(value) or (len(value) >= 12 and sum(map(str.isdigit, value)) >= 2) or len(value) >= 32


def cookies(text: str, position: int) -> Iterator[Span]:
    """Find a cookie header of which at least one value looks generated; it goes as a whole."""
    match = _COOKIE.match(text, position)
    if not match:
        return
    for pair in _COOKIE_PAIR.finditer(match["value"]):
        value = pair[1]
        if not is_reference(value) and not is_placeholder(value) and (is_random(value) or len(value) >= 32):
            yield *match.span("value"), "cookie"
            return
    yield *match.span("value"), NOTHING


def signatures(text: str, position: int) -> Iterator[Span]:
    """Find the signature of a signed URL."""
    match = _SIGNATURE.match(text, position)
    if match and text[position - 1 : position] in ("?", "&", ";", "-") and is_random(match["value"]):
        yield match.start("value"), _end_of(_TOKEN_REST, text, match.end("value")), "signature"
