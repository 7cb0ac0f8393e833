"""Secrets that are known by the name that they are given to: `password=`, `"api_key":`, `Authorization:`, `--token`.

Whether the value is a secret, and not code or a placeholder, is judged by its look and by how it is written.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ai_memory.capture.looks import (
    is_identifier,
    is_label,
    is_placeholder,
    is_random,
    is_reference,
    is_wordy,
)
from ai_memory.capture.shapes import Span

_NAME_SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-$"
_LONGEST_NAME = 64

#: What may stand between a name and its value; the value's opening quote comes after it.
_GAP = r"""
    (?P<gap>
        [\\"'`\])]{0,6}
        (?:
            [ \t]{0,8}(?:
                [?!]?:[ \t]{0,4}[&'\w][\w.\[\]|<>'?, ]{0,40}[ ]=[ ]   # a typed declaration
                |(?:[!=]==?|=>|:=|\|\|=|\?\?=|\+=|[=:]|<-)
            )
            |\\{0,4}["'],\s{0,8}(?:\\{0,4}["']?value\\{0,4}["']?\s{0,4}[:=])?   # ("NAME", "x")
            |,?\s{1,40}["']?value["']?\s{0,4}[:=]                     # - name: NAME, value: x
            |[ ]{1,2}(?:is|was)(?:[ ]now)?:?[ ]                        # "the password is x"
            |(?:[ \t]{1,8}\[[^\]\n]{0,40}\]:)                         # "AWS Secret Access Key [None]: x"
            |(?=[ \t]+[^\s:=,;)\]}|&<>])                              # --password x, setx NAME x
            |>(?=[^<>\s]{1,400}</)                                    # <password>x</password>
        )
        (?:[ \t]{0,8}ConvertTo-SecureString[ ]{1,4}(?:-String[ ]{1,4})?)?
        (?:[ \t]{0,8}[|>][+-]?[ \t]{0,8}\r?\n)?                       # a YAML block
        (?:\s{0,40}(?=[rbfu]{0,2}\\{0,8}["'`])|[ \t]{0,8}|(?<=\n)[ \t]{0,40})
    )
"""
_VALUE = r"""
    (?:
        [rbfuRBFU]{0,2}(?P<quote>\\*(?:\"{3}|'{3}|["'`]))
        (?P<quoted>(?:(?!(?P=quote))(?>\\+.|[^\n\\]))*+)
        |(?P<bare>(?:[^\s"'`<>;\\]|\\(?![nrt"'`\\]))++)
    )
"""
_FLAGS = re.VERBOSE | re.IGNORECASE
_ASSIGNED = re.compile(
    r"""
    (?P<word>pass(?:word|wd|wort|phrase|code)?|pwd|secret|token|credentials?|key|auth)
    (?P<suffix>(?-i:(?:_[A-Z0-9]+){1,4})|_?\d{1,3}|_base)?
    (?![A-Za-z0-9_])
    """
    + _GAP
    + _VALUE,
    _FLAGS,
)
_HEADER = re.compile(
    r"auth(?:orization|entication)\\*[\"'`\])]{0,2}[ \t]{0,4}(?:=>|[:=]|(?P<comma>,))\s{0,4}(?:[rbf]{0,2}\\*[\"'`])?"
    r"(?:(?P<list>aws4-[\w-]+|digest|oauth|hawk)[ \t]+(?P<rest>[^\n\"'`]{8,4000})"
    r"|(?P<scheme>[A-Za-z][\w-]{2,20})[ \t]+(?P<value>[^\s\"'`,;\\]{6,})|(?P<plain>[^\s\"'`,;\\]{8,}))",
    re.IGNORECASE,
)
_BEARER = re.compile(r"bearer(?:[ \t:=]|%20){1,4}\\*[\"']?(?P<value>[A-Za-z0-9._~+/=%|:-]{8,})", re.IGNORECASE)
_BASIC = re.compile(r"basic[ \t]{1,4}(?P<value>[A-Za-z0-9+/_-]{8,}={0,2})", re.IGNORECASE)
_COOKIE = re.compile(
    r"cookie\\*[\"'`\])]{0,2}[ \t]{0,4}(?:=>|[:=,])\s{0,4}\\*[\"'`]?(?P<value>[\w.%$-]{1,128}=[^\n\"'`\\]{6,8000})",
    re.IGNORECASE,
)
_COOKIE_PAIR = re.compile(r"=([^\s;,=]{8,})")
_SIGNATURE = re.compile(r"sig(?:nature)?=(?P<value>[A-Za-z0-9%+/_=-]{20,})", re.IGNORECASE)
#: curl's and its like's `-u user:password`.
_LOGIN_FLAG = re.compile(
    r"[ ](?:-u|--(?:proxy-)?user)[ =]{0,2}\\*[\"']?(?P<user>[^\s:\"'\\]{1,128}):(?P<value>[^\s\"'\\]{4,})"
)
#: Programs that take a password after a flag of one letter: the flag -> which they are.
_SHORT_FLAGS = {
    "p": re.compile(r"\b(?:mysql(?:dump|admin|import)?|sshpass|docker[ ]login|podman[ ]login|7z)\b[^\n|;]*$"),
    "a": re.compile(r"\bredis-cli\b[^\n|;]*$"),
    "w": re.compile(r"\bldap(?:search|modify|add|whoami)\b[^\n|;]*$"),
    "P": re.compile(r"\bzip\b[^\n|;]*$"),
}
_SHORT_VALUE = re.compile(r"[ ]-[paPw][ ]?(?P<quote>[\"']?)(?P<value>[^\s\"'-][^\s\"']{5,})")
_OPENSSL_PASSWORD = re.compile(r"pass:(?P<value>[^\s\"'`]{6,})")

#: `*_key` names a secret after one of these; a name in capitals (`ACME_KEY`) does so for a value that looks generated.
_KEYS = re.compile(
    r"(?:api|access|secret|private|encrypt(?:ion)?|signing|sign|auth|account|service|master|app|application|consumer|"
    r"client|storage|shared|subscription|licen[sc]e|deploy|session|webhook|admin|jwt|hmac|crypto|cipher|ssh|gpg|rsa|bot|"
    r"signature|functions?|host|root|maps|write|read|server|integration|instrumentation|rest|merchant|secret_access|"
    r"bearer|token|aes|des|symmetric|security|user)$",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(
    r"(?:public|primary|foreign|partition|sort|cache|page|continuation|cursor|next|sync|design|pad|eos|bos|unk|sep|mask|"
    r"cls|syntax|cancel(?:lation)?|css|by|com|en|tres|tram|under|sur|tur|mon|don|hot|short_?cut|registry|group|row|item|"
    r"storage_?key_|i18n|translation|dict|map|hash|object|lookup|idempotency|compat)[_.-]?$",
    re.IGNORECASE,
)
_NOT_SECRET_SUFFIX = re.compile(
    r"_(?:FILE|PATH|DIR|URL|URI|NAME|ID|IDS|TYPE|LEN|LENGTH|SIZE|COUNT|LIMIT|MAX|MIN|TTL|AGE|EXPIRY|EXPIRES?|ENV|HEADER|"
    r"FIELD|PREFIX|SUFFIX|REGEX|PATTERN|ALGORITHM|ALG|VERSION|POLICY|ENDPOINT|HASH|TIMEOUT|DELTA|LIFETIME|INFO|SECONDS|MINUTES|HOURS|DAYS|IN|AT|VAR)$"
)
_COMMAND_BEFORE = re.compile(r"(?:setx|setenv|ENV|ARG|export|set[ ]+-\w+|login[ ]+\S{1,80}|-e|--env|SET)[ \t]+$")
_PROSE = re.compile(
    r"\b(?:passwor[dt]|enter|please|required|must|your|invalid|incorrect|forgot|reset|confirm|cannot|the|is|a|an|to|of|and|"
    r"or|for|with|not|should|characters?|field|optional|strong|weak)\b",
    re.IGNORECASE,
)
_WORD_IN_CODE = re.compile(r"[a-z]{5}")
_CALL_SIGNS = "([.<{"
_DIGITS = frozenset("0123456789")
_PASSWORD_SIGNS = frozenset("!@#$%^*+~?&=|")


@dataclass(frozen=True, slots=True)
class _Written:
    """One value as it is written, and the name that it is given to."""

    name: str
    word: str
    value: str
    gap: str
    after: str
    quoted: bool
    at_line_end: bool

    @property
    def is_password(self) -> bool:
        return self.word.startswith(("pass", "pwd"))

    @property
    def in_capitals(self) -> bool:
        return self.name.isupper() and len(self.name) > 3

    @property
    def is_compound(self) -> bool:
        return len(self.name.strip("_.-$")) > len(self.word)


def found_by_name(text: str) -> Iterator[Span]:
    """Find every secret that is known by the name of it; spans may overlap."""
    lowered = text.lower()
    if len(lowered) != len(text):
        # A few letters have a longer small form, and positions must agree.
        lowered = "".join(sign.lower() if sign.isascii() else sign for sign in text)
    for anchor, finders in _ANCHORED:
        position = lowered.find(anchor)
        while position >= 0:
            end = position + len(anchor)
            for finder in finders:
                for span in finder(text, position):
                    yield span
                    end = max(end, span[1])
            position = lowered.find(anchor, end)


def _assigned(text: str, position: int) -> Iterator[Span]:
    match = _ASSIGNED.match(text, position)
    if not match:
        return
    group = "bare" if match["quote"] is None else "quoted"
    start, end = match.span(group)
    if group == "bare":
        end = _bare_end(text, match, start, end)
    word = match["word"].lower()
    head = text[max(0, position - _LONGEST_NAME) : position]
    prefix = head[len(head.rstrip(_NAME_SIGNS)) :]
    if not _names_a_secret(prefix, text[position : match.end("word")], match["suffix"] or "", head):
        return
    if not _is_given(match["gap"], prefix, head, text[start:end]):
        return
    written = _Written(
        name=prefix + match["word"] + (match["suffix"] or ""),
        word=word,
        value=text[start:end],
        gap=match["gap"],
        after=text[end : end + 1],
        quoted=group == "quoted",
        at_line_end=text[end : end + 2].lstrip(" \t;,") in ("", "\n", "\r", "\r\n", "#") or text[end : end + 1] == "\n",
    )
    if _is_secret(written):
        yield start, end, _kind(word, prefix)


def _bare_end(text: str, match: re.Match[str], start: int, end: int) -> int:
    """Cut a value without quotes where the text around it goes on."""
    value = text[start:end]
    tight = match["gap"] in ("=", ":")
    cut = re.search(
        r"[,(){}\[\]|&]" if not tight else r"[&|](?=\w+=)|[,)}\]](?=$|[\s,)}\]]|\w+[=:]|[\"'])|\((?=[^)]*$)", value
    )
    if cut and cut.start() > 0:
        end = start + cut.start()
    return start + len(text[start:end].rstrip(".,:)}]"))


def _names_a_secret(prefix: str, word: str, suffix: str, head: str) -> bool:
    if _NOT_SECRET.search(prefix) or _NOT_SECRET_SUFFIX.search(suffix):
        return False
    if word.lower() == "key":
        if not prefix:
            # "API key: x", "AWS Secret Access Key [None]: x"
            return bool(_KEYS.search(head.rstrip(" ")))
        return bool(_KEYS.search(prefix.rstrip("_.-"))) or (prefix.isupper() and prefix.endswith("_"))
    if word.lower() in ("pass", "auth"):
        return not prefix or prefix[-1] in "_-.$:" or (word[0].isupper() and prefix[-1].islower())
    return True


def _is_given(gap: str, prefix: str, head: str, value: str) -> bool:
    """Tell whether what follows a name belongs to it.

    After a blank it does for a flag, `setx`, a .netrc line; after a comma for the first argument of a call.
    """
    before = head[: len(head) - len(prefix)] if prefix else head
    if before.endswith("::"):
        # A type's name: "AWS::IAM::AccessKey".
        return False
    if not gap.strip(" \t\\\"'`])"):
        return prefix.startswith("-") or bool(_COMMAND_BEFORE.search(before)) or (len(gap) == 1 and is_random(value))
    if gap.strip(" \t\n\r\\\"'`])") == ",":
        return before.rstrip("\\\"'`").endswith("(") and "\n" not in gap
    return True


def _kind(word: str, prefix: str) -> str:
    if word.startswith(("pass", "pwd")):
        return "password"
    if word == "key":
        return "api-key" if prefix.lower().rstrip("_.-").endswith("api") else "key"
    return {"credentials": "credential", "auth": "credential"}.get(word, word)


def _is_secret(written: _Written) -> bool:
    value = written.value
    if len(value) < (5 if written.is_password else 8):
        return False
    if is_reference(value) or is_placeholder(value) or value.lower() == written.name.lower():
        return False
    if written.word == "auth":
        return _is_basic(value) or (is_random(value) and not is_identifier(value))
    if written.word == "pass" and not written.is_compound and not written.quoted:
        return is_random(value)
    if written.word == "key" and not _KEYS.search(written.name[:-3].rstrip("_.-")):
        return is_random(value)
    if written.quoted:
        return _is_secret_text(written)
    if "is" in written.gap.lower().split() or "was" in written.gap.lower().split():
        return is_random(value) or (written.is_password and not value.isalpha() and not is_wordy(value))
    if written.in_capitals and written.gap in ("=", ":") and written.after != "(":
        return _is_secret_setting(written)
    return _is_secret_word(written)


def _is_secret_text(written: _Written) -> bool:
    """Judge a value in quotes."""
    value = written.value
    if any(map(str.isspace, value)):
        pieces = value.split()
        if any(is_random(piece) and not is_reference(piece) for piece in pieces):
            return True
        return written.is_password and len(pieces) > 2 and not _PROSE.search(value)
    if is_random(value):
        return True
    digits = sum(map(str.isdigit, value))
    if written.is_password:
        return not is_label(value) and not (is_identifier(value) and "." in value and not digits)
    if value.isdigit():
        return written.in_capitals and digits >= 8
    if written.in_capitals or written.is_compound or written.word == "secret":
        if value.isupper() and "_" in value and is_identifier(value):
            return False
        return digits >= 2 or (written.word == "secret" and len(value) >= 16 and not is_identifier(value))
    return digits >= 2 and len(value) >= 12 and not is_wordy(value)


def _is_secret_setting(written: _Written) -> bool:
    """Judge what follows `NAME=` in an environment file, a shell or a command line."""
    value = written.value
    if is_random(value):
        return True
    if value.isdigit():
        return len(value) >= (6 if written.is_password else 8)
    if is_identifier(value) and ("." in value or (written.after in (",", ")") and "_" in value)):
        return False
    return not is_label(value) or value.islower()


def _is_secret_word(written: _Written) -> bool:
    """Judge a value without quotes, where code would stand as well."""
    value = written.value
    if written.after in tuple(_CALL_SIGNS) or value.startswith(("*", "&", "!", "@", "-", "/", ".")):
        return is_random(value) and not is_identifier(value)
    digits = sum(map(str.isdigit, value))
    if value.isdigit():
        return written.is_password and digits >= 6
    if is_random(value):
        # A dotted name with a word in it is a path in code ("ed25519.Ed25519PrivateKey").
        return digits > 0 and not ("." in value and is_identifier(value) and _WORD_IN_CODE.search(value))
    if is_identifier(value):
        if digits:
            return written.is_password and len(value) >= 8 and "_" not in value and "." not in value
        return (
            value.islower() and value.isalpha() and len(value) >= 16 and (written.is_password and written.at_line_end)
        )
    if written.is_password:
        if digits:
            return len(value) >= 6
        if any(sign in _PASSWORD_SIGNS for sign in value[1:]):
            return len(value) >= 8 and not is_identifier(value.strip("=!?&|+"))
        if not is_wordy(value) and value.lower() != value != value.upper():
            return True
        return len(value) >= 12 and written.at_line_end and written.gap.strip() in (":", "=") and value.isascii()
    return digits >= 2 and len(value) >= 12 and not is_wordy(value)


def _authorization(text: str, position: int) -> Iterator[Span]:
    match = _HEADER.match(text, position)
    if not match or (match["comma"] and text[max(0, position - 24) : position].rstrip("Proxy-\\\"'`")[-1:] != "("):
        return
    if match["list"]:
        if re.search(
            r"(?:signature|response|mac)\\?[\"']?=", text[match.start("rest") : match.end() + 400], re.IGNORECASE
        ):
            end = text.find("\n", match.start("rest"))
            yield match.start("rest"), len(text) if end < 0 else end, "authorization"
        return
    group = "value" if match["value"] else "plain"
    value = match[group]
    if match["value"] and match["scheme"].lower() == "basic" and not _is_basic(value):
        return
    if _is_credential(value):
        yield match.start(group), match.end(group), "authorization"


def _bearer(text: str, position: int) -> Iterator[Span]:
    match = _BEARER.match(text, position)
    if match and _is_credential(match["value"]):
        yield match.start("value"), match.end("value"), "bearer-token"


def _basic(text: str, position: int) -> Iterator[Span]:
    match = _BASIC.match(text, position)
    if match and _is_basic(match["value"]):
        yield match.start("value"), match.end("value"), "basic-auth"


def _is_basic(value: str) -> bool:
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return False
    return b":" in decoded and all(byte >= 32 for byte in decoded)


def _is_credential(value: str) -> bool:
    value = value.rstrip(".,")
    if len(value) < 8 or is_reference(value) or is_placeholder(value) or "(" in value or value.startswith("{"):
        return False
    if is_identifier(value) and not any(map(str.isdigit, value)):
        return is_random(value)
    return is_random(value) or (len(value) >= 12 and sum(map(str.isdigit, value)) >= 2) or len(value) >= 32


def _cookies(text: str, position: int) -> Iterator[Span]:
    match = _COOKIE.match(text, position)
    if not match:
        return
    for pair in _COOKIE_PAIR.finditer(match["value"]):
        value = pair[1]
        if not is_reference(value) and not is_placeholder(value) and (is_random(value) or len(value) >= 32):
            yield match.start("value"), match.end("value"), "cookie"
            return


def _signature(text: str, position: int) -> Iterator[Span]:
    match = _SIGNATURE.match(text, position)
    if match and text[position - 1 : position] in ("?", "&", ";", "-") and is_random(match["value"]):
        yield match.start("value"), match.end("value"), "signature"


def _passed(text: str, position: int) -> Iterator[Span]:
    match = _OPENSSL_PASSWORD.match(text, position)
    if match and text[max(0, position - 24) : position].rstrip(" \"'").endswith(("-passin", "-passout", "-pass", "-k")):
        value = match["value"]
        if not is_reference(value) and not is_placeholder(value):
            yield match.start("value"), match.end("value"), "password"


def _flags(text: str, position: int) -> Iterator[Span]:
    letter = text[position + 2 : position + 3]
    if letter in ("u", "-"):
        match = _LOGIN_FLAG.match(text, position)
        if match and (match["value"].isdigit() or match["value"] == match["user"]):
            return
    elif letter in _SHORT_FLAGS and _SHORT_FLAGS[letter].search(text, max(0, position - 200), position):
        match = _SHORT_VALUE.match(text, position)
    else:
        return
    if match and not is_reference(match["value"]) and not is_placeholder(match["value"]):
        yield match.start("value"), match.end("value"), "password"


_Finder = Callable[[str, int], Iterator[Span]]
_ANCHORED: tuple[tuple[str, tuple[_Finder, ...]], ...] = (
    ("pass", (_assigned, _passed)),
    ("pwd", (_assigned,)),
    ("secret", (_assigned,)),
    ("token", (_assigned,)),
    ("key", (_assigned,)),
    ("credential", (_assigned,)),
    ("auth", (_assigned, _authorization)),
    ("bearer", (_bearer,)),
    ("basic ", (_basic,)),
    ("cookie", (_cookies,)),
    ("sig", (_signature,)),
    (" -", (_flags,)),
)
